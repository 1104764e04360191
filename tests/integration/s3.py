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
