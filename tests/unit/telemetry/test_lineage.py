"""How datasets are named: as OpenLineage's rules say, and as Airflow's own converters do."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any

import pytest
from airflow.providers.amazon.aws.assets import s3
from airflow.providers.common.io.assets import file
from airflow.sdk import Asset
from openlineage.client.naming.dataset import ABFSS, GCS, S3, WASBS, LocalFileSystem

from airflow_provider_seedance.api.fingerprint import prompt_fingerprint
from airflow_provider_seedance.telemetry.lineage import dataset_of, generation_dataset

BASE_URL = "https://ai.alad.com"


def named(media: str) -> tuple[str, str] | None:
    return dataset_of(media, base_url=BASE_URL)


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        ("https://example.com/a/cat.png", ("https://example.com", "/a/cat.png")),
        ("HTTPS://Example.com:8443/Cat.png", ("https://example.com:8443", "/Cat.png")),
        ("http://[::1]:80/cat.png", ("http://[::1]:80", "/cat.png")),
        ("https://example.com", ("https://example.com", "/")),
        ("s3://bucket/a/cat.png", ("s3://bucket", "a/cat.png")),
        ("s3://my_conn@bucket/a/cat.png", ("s3://bucket", "a/cat.png")),
        ("s3a://bucket//cat.png", ("s3://bucket", "cat.png")),
        ("s3://bucket", ("s3://bucket", "/")),
        ("gs://bucket/cat.png", ("gs://bucket", "cat.png")),
        ("gcs://my_conn@bucket/cat.png", ("gs://bucket", "cat.png")),
        ("abfs://c@acct.dfs.core.windows.net/cat.png", ("abfss://c@acct.dfs.core.windows.net", "cat.png")),
        ("abfss://my_conn@c@acct.dfs.core.windows.net/a", ("abfss://c@acct.dfs.core.windows.net", "a")),
        ("abfs://my_conn@container/cat.png", ("abfss://container", "cat.png")),
        ("wasb://c@acct.blob.core.windows.net/cat.png", ("wasbs://c@acct.blob.core.windows.net", "cat.png")),
        ("sftp://user:secret@host/a/cat.png", ("sftp://host", "a/cat.png")),
        ("/data/cat.png", ("file", "/data/cat.png")),
        ("/data/a: b/cat.png", ("file", "/data/a: b/cat.png")),
        ("file:///data/x/../cat.png", ("file", "/data/cat.png")),
        ("local:///data/cat.png", ("file", "/data/cat.png")),
        ("cat.png", ("file", f"{os.getcwd()}/cat.png")),  # noqa: PTH109
        ("asset://asset-20260101-abc", ("seedance://ai.alad.com", "asset/asset-20260101-abc")),
        ("seedance://asyntask_A1/video.mp4", ("seedance://ai.alad.com", "generation/asyntask_A1")),
        ("seedance://my_conn@asyntask_A1/video.mp4", ("seedance://ai.alad.com", "generation/asyntask_A1")),
    ],
)
def test_media_are_named_by_where_they_lie(media: str, expected: tuple[str, str]) -> None:
    assert named(media) == expected


@pytest.mark.parametrize(
    "media", ["data:image/png;base64,iVBORw0KGgo=", "DATA:audio/wav;base64,UklG", "https://[bad/x"]
)
def test_what_lies_nowhere_has_no_name(media: str) -> None:
    assert named(media) is None


@pytest.mark.parametrize(
    "media",
    [
        "https://user:s3cr3t@example.com/cat.png?X-Amz-Signature=s3cr3t#s3cr3t",
        "https://example.com/sk-s3cr3ts3cr3ts3cr3ts3cr3t/cat.png",
        "s3://bucket/cat.png?X-Amz-Signature=s3cr3t",
        "s3://key:s3cr3t@bucket/cat.png",
    ],
)
def test_no_name_holds_a_secret(media: str) -> None:
    name = named(media)
    assert name is not None
    assert "s3cr3t" not in "".join(name)


def test_services_own_port_is_part_of_its_namespace() -> None:
    assert generation_dataset("asyntask_A1", base_url="http://127.0.0.1:8765/prefix") == (
        "seedance://127.0.0.1:8765",
        "generation/asyntask_A1",
    )


@pytest.mark.parametrize(
    ("media", "rule"),
    [
        ("s3://bucket/a/cat.png", S3("bucket", "a/cat.png")),
        ("gs://bucket/a/cat.png", GCS("bucket", "a/cat.png")),
        ("abfss://c@acct.dfs.core.windows.net/a/cat.png", ABFSS("c", "acct", "a/cat.png")),
        ("wasbs://c@acct.dfs.core.windows.net/a/cat.png", WASBS("c", "acct", "a/cat.png")),
        ("file:///data/cat.png", LocalFileSystem("/data/cat.png")),
    ],
)
def test_names_are_those_of_openlineages_own_rules(media: str, rule: Any) -> None:
    assert named(media) == (rule.get_namespace(), rule.get_name())


@pytest.mark.parametrize(("uri", "converter"), [("s3://bucket/a/cat.png", s3), ("file:///data/cat.png", file)])
def test_names_are_those_that_airflows_converters_give_an_asset(uri: str, converter: Any) -> None:
    dataset = converter.convert_asset_to_openlineage(Asset(uri=uri), None)
    assert named(uri) == (dataset.namespace, dataset.name)


def test_prompt_is_fingerprinted_over_its_utf8_text() -> None:
    assert prompt_fingerprint("猫 plays") == sha256("猫 plays".encode()).hexdigest()
    assert prompt_fingerprint(None) is None
    assert prompt_fingerprint("\ud800")
