from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedance.api.naming import PLACEHOLDERS, fill_path, is_shared


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
