"""The transfer to S3, over the real protocol: multipart, committed at the end, nothing left."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from airflow.providers.common.io.operators.file_transfer import FileTransferOperator

from airflow_provider_seedance.clock import Clock
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceServiceError
from tests.harness import WorkerCrash
from tests.integration.test_transfer import make_generation, save
from tests.result_service import GENERATION_ID, MIB, ResultService, mp4
from tests.s3 import BUCKET, objects, uploads


@pytest.fixture
def generation_id(emulator: Emulator) -> str:
    return make_generation(emulator)


@pytest.fixture
def large(service: ResultService) -> ResultService:
    """A service whose video takes several parts of an upload."""
    service.data = mp4(20 * MIB)
    return service


def test_video_is_an_object_of_several_parts(large: ResultService, s3: Any) -> None:
    result = save(GENERATION_ID, f"s3://aws_default@{BUCKET}/a/video.mp4")
    assert objects(s3) == {"a/video.mp4": large.data}
    head = s3.head_object(Bucket=BUCKET, Key="a/video.mp4")
    assert head["ETag"].endswith('-3"')
    assert result["size"] == head["ContentLength"] == 20 * MIB
    assert result["sha256"] == hashlib.sha256(large.data).hexdigest()
    assert result["path"] == f"s3://aws_default@{BUCKET}/a/video.mp4"
    assert uploads(s3) == []


def test_conn_id_may_be_given_apart(generation_id: str, s3: Any) -> None:
    save(generation_id, f"s3://{BUCKET}/", conn_id="aws_default")
    assert list(objects(s3)) == [f"{generation_id}.mp4"]


def test_same_bytes_are_not_written_again(generation_id: str, s3: Any) -> None:
    path = f"s3://aws_default@{BUCKET}/video.mp4"
    first = save(generation_id, path)
    before = s3.head_object(Bucket=BUCKET, Key="video.mp4")["LastModified"]
    s3.put_object_tagging(Bucket=BUCKET, Key="video.mp4", Tagging={"TagSet": [{"Key": "kept", "Value": "yes"}]})
    again = save(generation_id, path)
    assert (again["sha256"], again["size"]) == (first["sha256"], first["size"])
    assert s3.head_object(Bucket=BUCKET, Key="video.mp4")["LastModified"] == before
    assert s3.get_object_tagging(Bucket=BUCKET, Key="video.mp4")["TagSet"]


@pytest.mark.parametrize("fault", [{"drop": "mid_answer", "count": 0}, {"status": 200, "body": "<html>", "count": 0}])
def test_failed_transfer_commits_nothing(
    emulator: Emulator, generation_id: str, s3: Any, fault: dict[str, Any]
) -> None:
    s3.put_object(Bucket=BUCKET, Key="video.mp4", Body=b"yesterday's")
    emulator.fault(route="download", **fault)
    with pytest.raises(SeedanceServiceError):
        save(generation_id, f"s3://aws_default@{BUCKET}/video.mp4")
    assert objects(s3)["video.mp4"] == b"yesterday's"
    assert uploads(s3) == []


class StoppedClock(Clock):
    """A clock of a worker that is stopped while it waits."""

    def sleep(self, seconds: float) -> None:
        raise WorkerCrash


def test_worker_told_to_stop_commits_nothing(large: ResultService, s3: Any) -> None:
    large.breaks = [12 * MIB]
    with pytest.raises(WorkerCrash):
        save(GENERATION_ID, f"s3://aws_default@{BUCKET}/video.mp4", clock=StoppedClock())
    assert (list(objects(s3)), uploads(s3)) == ([], [])


def test_killed_worker_and_a_retry_leave_one_good_object(large: ResultService, s3: Any) -> None:
    path = f"s3://aws_default@{BUCKET}/video.mp4"
    large.pause_at = 12 * MIB
    script = f"from tests.integration.test_transfer import save\nsave({GENERATION_ID!r}, {path!r})"
    with subprocess.Popen([sys.executable, "-c", script]) as worker:
        deadline = time.monotonic() + 60
        while not uploads(s3) and worker.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        worker.kill()
    assert worker.returncode == -signal.SIGKILL
    assert (list(objects(s3)), uploads(s3)) == ([], ["video.mp4"])
    large.pause_at = None
    save(GENERATION_ID, path)
    assert (objects(s3), uploads(s3)) == ({"video.mp4": large.data}, [])


def test_other_uploads_are_left_alone(generation_id: str, s3: Any) -> None:
    other = s3.create_multipart_upload(Bucket=BUCKET, Key="video.mp4.other")
    save(generation_id, f"s3://aws_default@{BUCKET}/video.mp4")
    assert uploads(s3) == ["video.mp4.other"]
    assert other["UploadId"]


def test_missing_bucket_is_named(generation_id: str, s3: Any) -> None:
    with pytest.raises(SeedanceError, match=r"path 's3://aws_default@nowhere/video\.mp4' cannot be written"):
        save(generation_id, "s3://aws_default@nowhere/video.mp4")


def test_file_transfer_operator_takes_it_to_s3(large: ResultService, s3: Any) -> None:
    """Airflow's own operator, from the path that does not expire: another file system to another."""
    FileTransferOperator(
        task_id="copy",
        src=f"seedance://seedance_default@{GENERATION_ID}/video.mp4",
        dst=f"s3://aws_default@{BUCKET}/copy.mp4",
    ).execute({})
    assert objects(s3)["copy.mp4"] == large.data
