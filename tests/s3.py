"""An S3 to write to: moto's server, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "videos"


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a server with one bucket. Yields its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def client(url: str) -> Any:
    """A plain client of the server, which shares nothing with how Airflow reaches it."""
    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )


def connection(url: str) -> str:
    """The Airflow connection to the server."""
    fields = {"conn_type": "aws", "login": "testing", "password": "testing"}
    return json.dumps({**fields, "extra": {"endpoint_url": url, "region_name": "us-east-1"}})


def objects(s3: Any) -> dict[str, bytes]:
    """What is in the bucket."""
    found = s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return {entry["Key"]: s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read() for entry in found}


def uploads(s3: Any) -> list[str]:
    """The names under which uploads were begun and not ended."""
    return [found["Key"] for found in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


def emptied(s3: Any) -> None:
    """Remove all that is in the bucket."""
    for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()):
        s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    for key in objects(s3):
        s3.delete_object(Bucket=BUCKET, Key=key)
