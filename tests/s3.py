"""An S3 server to write to: moto, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import boto3
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import MultipartDict
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

BUCKET = "videos"


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server and yield its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    list_uploads = S3Response.list_multipart_uploads

    def list_uploads_as_new(self: S3Response) -> Any:
        status, headers, body = list_uploads(self)
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}"
        return status, headers, str(body).replace("2010-11-10T20:48:33.000Z", now)

    def no_such_upload(self: Any, upload_id: str) -> Any:
        raise NoSuchUpload(upload_id=upload_id)

    # two things in which moto is not like S3: uploads are from 2010, and one that is missing is an internal error
    with (
        patch.object(S3Response, "list_multipart_uploads", list_uploads_as_new),
        patch.object(MultipartDict, "__missing__", no_such_upload, create=True),
    ):
        try:
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def client(url: str) -> Any:
    """Return a plain client of the server, independent of how Airflow connects to it."""
    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )


def connection(url: str) -> str:
    """Return the Airflow connection to the server, as JSON."""
    fields = {"conn_type": "aws", "login": "testing", "password": "testing"}
    return json.dumps({**fields, "extra": {"endpoint_url": url, "region_name": "us-east-1"}})


def objects(s3: Any) -> dict[str, bytes]:
    """Return the bucket's objects by key."""
    found = s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return {entry["Key"]: s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read() for entry in found}


def uploads(s3: Any) -> list[str]:
    """Return the keys of unfinished multipart uploads."""
    return [found["Key"] for found in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


def emptied(s3: Any) -> None:
    """Remove everything from the bucket."""
    for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()):
        s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    for key in objects(s3):
        s3.delete_object(Bucket=BUCKET, Key=key)
