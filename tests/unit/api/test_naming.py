"""Paths that results are saved to: as given, and with a result's values filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedance.api.naming import PLACEHOLDERS, check_path, fill_path, is_shared
from airflow_provider_seedance.exceptions import SeedanceRequestError


@given(values=st.lists(st.none() | st.integers() | st.floats() | st.text(), min_size=7, max_size=7))
def test_every_placeholder_becomes_a_part_of_one_name(values: list[Any]) -> None:
    path = "/videos/" + "/".join(f"{{{name}}}" for name in PLACEHOLDERS)
    filled = fill_path(path, dict(zip(PLACEHOLDERS, values, strict=True)), "video")
    folder, *names = filled.removeprefix("/").split("/")
    assert folder == "videos"
    assert len(names) == len(PLACEHOLDERS)
    assert names[-1] == "mp4"
    for name in names:
        assert name.strip(".")
        assert len(name.encode()) <= 100


def test_values_that_are_names_stay_as_they_are() -> None:
    result = {"model": "doubao-seedance-2-0-260128", "ratio": "16:9", "duration": 5, "seed": None}
    assert fill_path("{model}/{ratio}/{duration}-{seed}.{extension}", result, "last_frame") == (
        "doubao-seedance-2-0-260128/16x9/5-unknown.png"
    )


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/videos/v.mp4", True),
        (Path("/videos/v.mp4"), True),
        ("/videos/{{ ds }}/v.{extension}", True),
        ("/videos/{{ params.ti_folder }}/map_index.mp4", True),
        ("/videos/{model}-{resolution}-{ratio}-{duration}.mp4", True),
        (ObjectStoragePath("file:///videos/v.mp4"), True),
        (ObjectStoragePath("file:///videos/{seed}.mp4"), False),
        ("/videos/{{ macros.ds_add(ds, 1) }}.mp4", True),
        ("/videos/{{ ti.dag_id }}.mp4", True),
        ("/videos/{{ ti.run_id }}-{{ ti.task_id }}.mp4", True),
        ("/videos/{{ task.task_id }}.mp4", True),
        ("/videos/{{ task.dag.dag_id }}.mp4", True),
        ("/videos/{{ ti.task.dag_id }}/{{ task.task_type }}.mp4", True),
        ("/videos/{{ task.generation }}.mp4", False),
        ("/videos/{{ ti.task.generation }}.mp4", False),
        ("/videos/{{ ti.xcom_pull('names') }}.mp4", False),
        ("/videos/{{ macros.uuid.uuid4() }}.mp4", False),
        ("/videos/{generation_id}.mp4", False),
        ("/videos/{{ ds }}/{seed}.mp4", False),
        ("/videos/{{ ti.map_index }}.mp4", False),
        ("/videos/{{ task_instance.map_index }}.mp4", False),
        ("/videos/{% if map_index %}b{% else %}a{% endif %}.mp4", False),
        (object(), False),
        (None, False),
    ],
)
def test_path_is_shared_unless_something_in_it_may_differ(path: object, shared: bool) -> None:
    assert is_shared(path) is shared


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (" /data/{generation_id}.mp4 ", "/data/{generation_id}.mp4"),
        ("/data/{model}-{resolution}-{ratio}-{duration}-{seed}.{extension}",) * 2,
        ("file:///data/a.mp4", "file:///data/a.mp4"),
        ("s3://conn@bucket/{seed}/", "s3://conn@bucket/{seed}/"),
        (Path("/data/a.mp4"), "/data/a.mp4"),
        (Path("/data.d/videos/"), "/data.d/videos/"),
        (Path("/data/{seed}"), "/data/{seed}"),
        (Path("/"), "/"),
        ("/data/videos", "/data/videos"),
        (ObjectStoragePath("file:///data/videos/"), "file:///data/videos/"),
        (ObjectStoragePath("file:///data/videos"), "file:///data/videos/"),
        (ObjectStoragePath("file:///data/{seed}.mp4"), "file:///data/{seed}.mp4"),
    ],
)
def test_path_is_text_or_a_path_object(given: Any, taken: str) -> None:
    assert check_path(given) == taken


@pytest.mark.parametrize(
    "braces", ["{seed:05d}", "{ generation_id }", "{}", "{Seed}", "{seed!r}", "{seed", "}", "{{seed}}"]
)
def test_braces_that_are_not_known_are_refused(braces: str) -> None:
    with pytest.raises(SeedanceRequestError, match=r"which is not known. Use \{generation_id\}"):
        check_path(f"/data/{braces}.mp4")


@pytest.mark.parametrize(
    "path", ["~/a.mp4", "a.mp4", "./a.mp4", "../a.mp4", "file://a.mp4", "file://~/a.mp4", Path("a")]
)
def test_path_that_depends_on_the_worker_is_refused(path: Any) -> None:
    with pytest.raises(SeedanceRequestError, match="absolute path"):
        check_path(path)


@pytest.mark.parametrize("path", [None, "", " ", "None", [], 7])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(SeedanceRequestError, match="Give a file or a folder") as refused:
        check_path(path)
    assert refused.value.field == "path"


def test_host_before_a_local_path_is_refused() -> None:
    with pytest.raises(SeedanceRequestError, match=r"names a host.*file:///"):
        check_path("file://localhost/data/a.mp4")
