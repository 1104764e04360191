"""An S3 server to write to: moto, over real HTTP."""

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
    """Run a server and yield its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
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
