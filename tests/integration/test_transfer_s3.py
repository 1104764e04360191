"""The transfer to S3, over the real protocol: multipart, committed at the end, nothing left."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow.providers.common.io.operators.file_transfer import FileTransferOperator
from moto.s3.responses import S3Response

from airflow_provider_seedance.clock import Clock
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceRequestError, SeedanceServiceError
from tests.clock import VirtualClock
from tests.harness import WorkerCrash
from tests.integration.test_transfer import make_generation, save
from tests.result_service import GENERATION_ID, MIB, ResultService, mp4
from tests.s3 import BUCKET, client, emptied, objects, uploads


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


def an_hour_later() -> VirtualClock:
    return VirtualClock(start=time.time() + 3700)


def test_killed_workers_upload_is_removed_by_the_first_transfer_after_an_hour(large: ResultService, s3: Any) -> None:
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
    assert (objects(s3), uploads(s3)) == ({"video.mp4": large.data}, ["video.mp4"])
    save(GENERATION_ID, path, clock=an_hour_later(), if_exists="overwrite")
    assert (objects(s3), uploads(s3)) == ({"video.mp4": large.data}, [])


def test_signature_in_the_key_of_an_upload_is_not_logged(
    generation_id: str, s3: Any, caplog: pytest.LogCaptureFixture
) -> None:
    key = "video.mp4?X-Amz-Signature=0123456789abcdef"
    s3.create_multipart_upload(Bucket=BUCKET, Key=key)
    with caplog.at_level(logging.INFO, "airflow_provider_seedance"):
        save(generation_id, f"s3://aws_default@{BUCKET}/{key}", clock=an_hour_later())
    (said,) = (record.getMessage() for record in caplog.records if record.name.endswith("files.storage"))
    assert "Aborting an upload to" in said
    assert "0123456789abcdef" not in said


def test_other_uploads_are_left_alone(generation_id: str, s3: Any) -> None:
    s3.create_multipart_upload(Bucket=BUCKET, Key="video.mp4.other")
    save(generation_id, f"s3://aws_default@{BUCKET}/video.mp4", clock=an_hour_later())
    assert uploads(s3) == ["video.mp4.other"]


def test_another_programs_upload_to_the_same_key_goes_on(generation_id: str, s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="video.mp4")
    where = {"Bucket": BUCKET, "Key": "video.mp4", "UploadId": upload["UploadId"]}
    part = s3.upload_part(**where, PartNumber=1, Body=b"theirs")
    save(generation_id, f"s3://aws_default@{BUCKET}/video.mp4")
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert objects(s3) == {"video.mp4": b"theirs"}


# -- exclusive


@contextmanager
def slow_writer(large: ResultService, path: str, **arguments: Any) -> Iterator[Future[Any]]:
    """Start a transfer that has uploaded its first part when the block begins, and goes on when it ends."""
    large.pause_at = 12 * MIB
    s3 = client(json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])["extra"]["endpoint_url"])
    with ThreadPoolExecutor(1) as executor:
        saved = executor.submit(save, GENERATION_ID, path, run_id="slow", **arguments)
        deadline = time.monotonic() + 60
        while not uploads(s3) and not saved.done() and time.monotonic() < deadline:
            time.sleep(0.02)
        large.pause_at = None
        yield saved
        large.resume.set()
        saved.exception(60)


def without_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the storage ignore ``If-None-Match``, as old ones do."""
    file_system = fsspec.get_filesystem_class("s3")
    real = file_system.call_s3

    def call_s3(self: Any, *args: Any, IfNoneMatch: str = "", **kwargs: Any) -> Any:  # noqa: N803
        return real(self, *args, **kwargs)

    monkeypatch.setattr(file_system, "call_s3", call_s3)


@pytest.mark.parametrize("storage", ["decides", "ignores the condition"])
def test_one_of_two_writers_wins_if_none_may_replace(
    large: ResultService, s3: Any, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    if storage != "decides":
        without_condition(monkeypatch)
    path = f"s3://aws_default@{BUCKET}/video.mp4"
    with slow_writer(large, path, if_exists="fail") as slow:
        large.data = mp4(9 * MIB)
        save(GENERATION_ID, path, if_exists="fail", run_id="fast")
    with pytest.raises(SeedanceRequestError, match="exists, and 'if_exists' is 'fail'"):
        slow.result()
    assert (objects(s3), uploads(s3)) == ({"video.mp4": large.data}, [])


def test_old_listing_of_the_bucket_does_not_hide_a_file(
    generation_id: str, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_condition(monkeypatch)
    ObjectStoragePath(f"s3://aws_default@{BUCKET}").fs.ls(BUCKET)
    s3.put_object(Bucket=BUCKET, Key="video.mp4", Body=b"faster")
    with pytest.raises(SeedanceRequestError, match="exists"):
        save(generation_id, f"s3://aws_default@{BUCKET}/video.mp4", if_exists="fail")
    assert objects(s3) == {"video.mp4": b"faster"}


def test_storage_decides_between_writers_that_saw_nothing(
    large: ResultService, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_seedance.files.storage._check_free", lambda target: None)
    path = f"s3://aws_default@{BUCKET}/video.mp4"
    with slow_writer(large, path, if_exists="fail") as slow:
        s3.put_object(Bucket=BUCKET, Key="video.mp4", Body=b"faster")
    with pytest.raises(SeedanceRequestError, match="exists"):
        slow.result()
    assert (objects(s3), uploads(s3)) == ({"video.mp4": b"faster"}, [])


def test_storage_without_conditional_writes_takes_the_file_all_the_same(
    large: ResultService, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = S3Response.key_response

    def refuse_condition(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args[0].headers.get("If-None-Match"):
            return 501, {}, "<Error><Code>NotImplemented</Code><Message>A header is not implemented</Message></Error>"
        return real(self, *args, **kwargs)

    monkeypatch.setattr(S3Response, "key_response", refuse_condition)
    save(GENERATION_ID, f"s3://aws_default@{BUCKET}/video.mp4", if_exists="fail")
    assert (objects(s3), uploads(s3)) == ({"video.mp4": large.data}, [])


# -- what a retry can help


def test_upload_that_somebody_aborted_is_worth_a_retry(large: ResultService, s3: Any) -> None:
    with slow_writer(large, f"s3://aws_default@{BUCKET}/video.mp4") as slow:
        emptied(s3)
    with pytest.raises(SeedanceServiceError, match="a retry starts over"):
        slow.result()


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        ("ExpiredToken", "expired.mp4", SeedanceServiceError),
        ("RequestTimeTooSkewed", "skewed.mp4", SeedanceServiceError),
        ("RequestTimeTooSkewed", "skewed/", SeedanceServiceError),  # its first request is a HEAD
        ("AccessDenied", "denied.mp4", SeedanceRequestError),
        ("InvalidAccessKeyId", "unknown.mp4", SeedanceRequestError),
    ],
)
def test_code_of_the_storage_decides_whether_a_retry_helps(
    generation_id: str, s3: Any, monkeypatch: pytest.MonkeyPatch, code: str, name: str, expected: type[SeedanceError]
) -> None:
    body = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>"
    answer: tuple[int, dict[str, str], str] = (403, {}, body)
    with monkeypatch.context() as patch:
        patch.setattr(S3Response, "bucket_response", lambda *args, **kwargs: answer)
        patch.setattr(S3Response, "key_response", lambda *args, **kwargs: answer)
        with pytest.raises(expected, match=r"so it is|Forbidden"):
            save(generation_id, f"s3://aws_default@{BUCKET}/{name}")


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
