"""The transfer to S3, over the real protocol: multipart, committed at the end, nothing left."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from airflow.providers.common.io.operators.file_transfer import FileTransferOperator

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceServiceError
from airflow_provider_seedance.hooks import storage
from tests.harness import WorkerCrash
from tests.integration.test_transfer import make_generation, save
from tests.s3 import BUCKET, objects, uploads


@pytest.fixture
def generation_id(emulator: Emulator) -> str:
    return make_generation(emulator)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let the emulator's clips go on with an empty box, to 12 MiB."""
    from airflow_provider_seedance.emulator import routes

    whole = 12 * 2**20
    answer = routes._file_answer

    def enlarged(request: Any, data: bytes, content_type: str) -> Any:
        filling = whole - len(data)
        return answer(request, data + filling.to_bytes(4, "big") + b"free" + bytes(filling - 8), content_type)

    monkeypatch.setattr(routes, "_file_answer", enlarged)
    return whole


def test_video_is_an_object_of_several_parts(
    generation_id: str, large: int, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PART", 5 * 2**20)
    result = save(generation_id, f"s3://aws_default@{BUCKET}/a/video.mp4")
    assert list(objects(s3)) == ["a/video.mp4"]
    head = s3.head_object(Bucket=BUCKET, Key="a/video.mp4")
    assert head["ETag"].endswith('-3"')
    assert result["size"] == head["ContentLength"] == large
    assert result["sha256"] == hashlib.sha256(objects(s3)["a/video.mp4"]).hexdigest()
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


def test_worker_told_to_stop_commits_nothing(generation_id: str, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: object) -> None:
        raise WorkerCrash

    monkeypatch.setattr("airflow_provider_seedance.api.arrival.Mp4Check.finish", stop)
    with pytest.raises(WorkerCrash):
        save(generation_id, f"s3://aws_default@{BUCKET}/video.mp4")
    assert (list(objects(s3)), uploads(s3)) == ([], [])


#: Dies in the middle of an upload, as a worker does that runs out of memory.
DIE = """
import os, signal
from airflow_provider_seedance.api.arrival import Mp4Check
from tests.integration.test_transfer import save
Mp4Check.finish = lambda self: os.kill(os.getpid(), signal.SIGKILL)
save({generation_id!r}, {path!r})
"""


def test_killed_worker_and_a_retry_leave_one_good_object(generation_id: str, large: int, s3: Any) -> None:
    path = f"s3://aws_default@{BUCKET}/video.mp4"
    script = DIE.format(generation_id=generation_id, path=path)
    died = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert (list(objects(s3)), uploads(s3)) == ([], ["video.mp4"])
    result = save(generation_id, path)
    assert (list(objects(s3)), uploads(s3)) == (["video.mp4"], [])
    assert hashlib.sha256(objects(s3)["video.mp4"]).hexdigest() == result["sha256"]


def test_other_uploads_are_left_alone(generation_id: str, s3: Any) -> None:
    other = s3.create_multipart_upload(Bucket=BUCKET, Key="video.mp4.other")
    save(generation_id, f"s3://aws_default@{BUCKET}/video.mp4")
    assert uploads(s3) == ["video.mp4.other"]
    assert other["UploadId"]


def test_missing_bucket_is_named(generation_id: str, s3: Any) -> None:
    with pytest.raises(SeedanceError, match=r"'path' 's3://aws_default@nowhere/video\.mp4' cannot be written"):
        save(generation_id, "s3://aws_default@nowhere/video.mp4")


def test_file_transfer_operator_takes_it_to_s3(generation_id: str, large: int, s3: Any) -> None:
    """Airflow's own operator, from the path that does not expire: another file system to another."""
    FileTransferOperator(
        task_id="copy",
        src=f"seedance://seedance_default@{generation_id}/video.mp4",
        dst=f"s3://aws_default@{BUCKET}/copy.mp4",
    ).execute({})
    ours = save(generation_id, f"s3://aws_default@{BUCKET}/video.mp4")
    assert hashlib.sha256(objects(s3)["copy.mp4"]).hexdigest() == ours["sha256"]
    assert ours["size"] == large
