"""The extra link: what it opens, and that Airflow keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_seedance.links import SeedanceVideoLink, browser_url
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor

LINK = SeedanceVideoLink()
SIGNED = "https://store.example.com/v/video.mp4?X-Tos-Expires=43200&X-Tos-Signature=ab%2Fcd"

S3_PAGE = "https://console.aws.amazon.com/s3/object"
GCS_PAGE = "https://console.cloud.google.com/storage/browser/_details"


def link_of(operator: Any) -> str:
    key: Any = None  # the link does not need the task instance
    return LINK.get_link(operator, ti_key=key)


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("https://store.example.com/v/a.mp4", "https://store.example.com/v/a.mp4"),
        (SIGNED, "https://store.example.com/v/video.mp4"),
        ("https://store.example.com?sig=abcd", "https://store.example.com/"),
        ("http://user:secret@127.0.0.1:8080/a%20b c.mp4#t=1", "http://127.0.0.1:8080/a%20b%20c.mp4"),
        ("http://[::1]:8080/a.mp4", "http://[::1]:8080/a.mp4"),
        ("s3://bucket/videos/a.mp4", f"{S3_PAGE}/bucket?prefix=videos%2Fa.mp4"),
        ("s3://my_aws@bucket/videos/a.mp4", f"{S3_PAGE}/bucket?prefix=videos%2Fa.mp4"),
        ("s3a://bucket/ä b&c=d?e#f%20.mp4", f"{S3_PAGE}/bucket?prefix=%C3%A4%20b%26c%3Dd%3Fe%23f%2520.mp4"),
        ("gs://my_google@bucket/videos/a b?.mp4", f"{GCS_PAGE}/bucket/videos/a%20b%3F.mp4"),
        (
            "abfss://container@account.dfs.core.windows.net/videos/a b.mp4",
            "https://account.blob.core.windows.net/container/videos/a%20b.mp4",
        ),
        (
            "wasbs://my_azure@container@account.blob.core.chinacloudapi.cn/a.mp4",
            "https://account.blob.core.chinacloudapi.cn/container/a.mp4",
        ),
        # the account is in the connection
        ("abfs://my_azure@container/videos/a.mp4", "abfs://container/videos/a.mp4"),
        ("az://container/videos/a.mp4", "az://container/videos/a.mp4"),
        ("file:///data/a b#1.mp4", "file:///data/a%20b%231.mp4"),
        ("file://my_files@/data/a.mp4", "file:///data/a.mp4"),
        ("/data/50%/ä.mp4", "file:///data/50%25/%C3%A4.mp4"),
        ("hdfs://my_hadoop@name-node:8020/videos/a b.mp4", "hdfs://name-node:8020/videos/a%20b.mp4"),
        ("sftp://me:secret@host/a.mp4", "sftp://host/a.mp4"),
    ],
)
def test_browser_url_leads_to_the_file(path: str, url: str) -> None:
    assert browser_url(path) == url


def test_browser_url_of_a_relative_path_is_where_the_worker_wrote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert browser_url("videos/a.mp4") == f"file://{tmp_path}/videos/a.mp4"


@pytest.mark.parametrize(
    "path",
    [
        "javascript:alert(1)",
        "JavaScript://x/%0aalert(1)",
        " javascript:alert(1)",
        "\x01javascript:alert(1)",
        "java\nscript:alert(1)",
        "java\nscript://x/%0aalert(1)",
        "vbscript:x",
        "data:text/html,<script>alert(1)</script>",
        "data://text/html,<script>alert(1)</script>",
        "blob:https://example.com/1",
    ],
)
def test_nothing_that_could_run_becomes_a_link(path: str) -> None:
    class Operator:
        video_link = path

    assert link_of(Operator) == ""
    assert browser_url(path) == "" or browser_url(path).startswith("file:///")


@pytest.mark.parametrize("path", ["javascript:alert(1)", "javascript://x/%0aalert(1)", "data:text/html,x"])
def test_browser_url_of_what_would_run_is_empty(path: str) -> None:
    assert browser_url(path) == ""


@pytest.mark.parametrize("link", [None, "", "video.mp4"])
def test_nothing_delivered_gives_an_empty_link(link: str | None) -> None:
    class Operator:
        video_link = link

    assert link_of(Operator) == ""
    assert link_of(object()) == ""


def test_operator_and_sensor_that_did_not_run_have_no_link() -> None:
    assert link_of(SeedanceGenerateVideoOperator(task_id="generate", prompt="a cat")) == ""
    assert link_of(SeedanceGenerationSensor(task_id="wait", generation="asyntask_x")) == ""


def test_link_keeps_its_signature() -> None:
    class Operator:
        video_link = SIGNED

    assert link_of(Operator) == SIGNED


def test_serialized_dag_keeps_the_link_of_plain_and_mapped_tasks() -> None:
    try:
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:
        pytest.skip("Airflow keeps a mapped task's links in another way before 3.2")

    with DAG("linked") as dag:
        SeedanceGenerateVideoOperator(task_id="generate", prompt="a cat")
        mapped = SeedanceGenerateVideoOperator.partial(task_id="mapped").expand(prompt=["a cat", "a dog"])
        SeedanceGenerationSensor.partial(task_id="wait").expand(generation=mapped.output)
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    restored = DagSerialization.from_dict(stored)
    for task in restored.tasks:
        assert {link.name: link.xcom_key for link in task.operator_extra_link_dict.values()} == {
            "Seedance video": "_link_SeedanceVideoLink"
        }
        assert not hasattr(task, "video_link")
