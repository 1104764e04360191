"""The contestants of download.py: each downloads a video from the local server to disk or S3, in its own way."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from benchmarks.download_server import BUCKET, generation_id, link_path


@dataclass(frozen=True)
class Place:
    """
    Source and target of a transfer.

    :param videos: Address of the video server.
    :param target: Path of the file, for a transfer to disk.
    :param s3: Address of the S3, for a transfer to S3.
    """

    videos: str
    target: str
    s3: str | None = None


#: Transfers a video of a given size in bytes.
Transfer = Callable[[int], object]


def set_environment(place: Place, home: str) -> None:
    """
    Prepare this process. Call it before Airflow is imported.

    :param home: A scratch directory for Airflow.
    """
    connections: dict[str, dict[str, Any]] = {
        "seedance_default": {"conn_type": "seedance", "password": "sk-benchmark", "host": place.videos},
        "http_default": {"conn_type": "http", "host": place.videos},
        "aws_default": {
            "conn_type": "aws",
            "login": "testing",
            "password": "testing",
            "extra": {"endpoint_url": place.s3, "region_name": "us-east-1"},
        },
    }
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(conn) for name, conn in connections.items()},
    }


def curl(place: Place, size: int) -> list[list[str]]:
    """Return the command."""
    return [["curl", "--silent", "--fail", "--output", place.target, place.videos + link_path(size)]]


def curl_and_hash(place: Place, size: int) -> list[list[str]]:
    """Return the commands of a pipeline: the same work as ours. ``sha256sum`` takes twice as long as OpenSSL."""
    return [
        ["curl", "--silent", "--fail", place.videos + link_path(size)],
        ["tee", place.target],
        ["openssl", "dgst", "-sha256"],
    ]


def ours(place: Place) -> Transfer:
    """Return this provider's operator."""
    from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

    path = f"file://{place.target}" if place.s3 is None else f"s3://{BUCKET}/video.mp4"
    context: Any = {"ti": SimpleNamespace(xcom_push=lambda key, value: None, try_number=1, run_id="manual__1")}

    def transfer(size: int) -> None:
        operator = SeedanceToObjectStorageOperator(
            task_id="save",
            generation=generation_id(size),
            path=path,
            conn_id=None if place.s3 is None else "aws_default",
            if_exists="overwrite",
        )
        assert operator.execute(context)["size"] == size

    return transfer


class NoHash:
    """Stands in for SHA-256 and does nothing."""

    def __init__(self, data: bytes = b"", *, usedforsecurity: bool = True) -> None:
        pass

    def update(self, data: bytes) -> None:
        pass

    def hexdigest(self) -> str:
        return ""


def ours_without_hash(place: Place) -> Transfer:
    """Return the same with nothing hashed: what is left is the transport."""
    transfer = ours(place)
    patch.object(hashlib, "sha256", NoHash).start()  # this process measures nothing else
    return transfer


def file_transfer(place: Place) -> Transfer:
    """Return Airflow's own operator, over this provider's file system."""
    from airflow.providers.common.io.operators.file_transfer import FileTransferOperator

    return lambda size: FileTransferOperator(
        task_id="save",
        src=f"seedance://seedance_default@{generation_id(size)}/video.mp4",
        dst=f"s3://aws_default@{BUCKET}/video.mp4",
        overwrite=True,
    ).execute({})


def http_to_s3(place: Place) -> Transfer:
    """Return the amazon provider's operator."""
    from airflow.providers.amazon.aws.transfers.http_to_s3 import HttpToS3Operator

    return lambda size: HttpToS3Operator(
        task_id="save", endpoint=link_path(size), s3_bucket=BUCKET, s3_key="video.mp4", replace=True
    ).execute({})


@dataclass(frozen=True)
class Contestant:
    """
    One of those compared: a pipeline of commands, or a transfer in a Python process.

    :param title: Its name in the table.
    :param to_s3: Whether it goes to S3 instead of a disk.
    """

    title: str
    commands: Callable[[Place, int], list[list[str]]] | None = None
    make: Callable[[Place], Transfer] | None = None
    to_s3: bool = False


CONTESTANTS: Mapping[str, Contestant] = {
    "curl": Contestant("`curl -o`", commands=curl),
    "curl-hash": Contestant("`curl`, `tee` and `openssl dgst -sha256`", commands=curl_and_hash),
    "ours": Contestant("this provider", make=ours),
    "ours-no-hash": Contestant("this provider, hashing taken out", make=ours_without_hash),
    "ours-s3": Contestant("this provider", make=ours, to_s3=True),
    "file-transfer-s3": Contestant("`FileTransferOperator` from `seedance://`", make=file_transfer, to_s3=True),
    "http-s3": Contestant("`HttpToS3Operator`", make=http_to_s3, to_s3=True),
}
