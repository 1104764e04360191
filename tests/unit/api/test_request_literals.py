"""What is checked when a Dag is parsed, while some values are templates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedance.api.request import check_literals
from airflow_provider_seedance.exceptions import SeedanceRequestError

IMAGE = "https://cdn.example.com/a.png"


class XComArg:
    """Stands for a value that an upstream task will give."""

    def resolve(self, context: object) -> object:
        raise AssertionError("resolved when the Dag is parsed")


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": "A cat"},
        {"prompt": "{{ params.prompt }}"},
        {"prompt": XComArg()},
        {"prompt": "A cat", "duration": "{{ params.seconds }}"},
        {"prompt": "A cat", "resolution": "2k"},
        {"prompt": "A cat", "duration": 30, "model": "{{ params.model }}"},
        {"prompt": "A cat", "duration": 30, "model": "seedance-2.5"},
        {"prompt": "@image4", "reference_images": XComArg()},
        {"prompt": "@image1", "first_frame": "{{ params.frame }}"},
        {"last_frame": IMAGE, "first_frame": XComArg()},
        {"reference_audios": [IMAGE], "reference_images": "{{ params.images }}"},
        {"reference_images": ["{{ params.image }}", IMAGE]},
        {"content": [{"type": "text", "text": "{{ params.prompt }}"}]},
        {"content": XComArg()},
        {"prompt": "A cat", "extra_body": {"priority": "{{ params.priority }}"}},
        {"prompt": "A cat", "task_id": "generate", "poll_interval": "soon"},
    ],
)
def test_what_may_turn_out_right_is_let_pass(arguments: dict[str, Any]) -> None:
    check_literals(arguments)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "{{ params.prompt }}", "duration": 30}, "duration"),
        ({"prompt": XComArg(), "duration": "five"}, "duration"),
        ({"prompt": XComArg(), "resolution": "2k", "model": "seedance-2.0"}, "resolution"),
        ({"prompt": XComArg(), "resolution": "8k"}, "resolution"),
        ({"prompt": XComArg(), "ratio": "2:1"}, "ratio"),
        ({"prompt": XComArg(), "model": "{{ params.model }}", "generate_audio": "perhaps"}, "generate_audio"),
        ({"prompt": XComArg(), "last_frame": IMAGE}, "last_frame"),
        ({"prompt": XComArg(), "first_frame": IMAGE, "reference_images": [IMAGE]}, "first_frame"),
        ({"prompt": "@image2", "first_frame": IMAGE}, "prompt"),
        ({"prompt": "A cat", "web_search": True, "first_frame": IMAGE}, "web_search"),
        ({"reference_images": ["{{ params.image }}", ""]}, "reference_images[1]"),
        ({"reference_images": [XComArg()] * 10}, "reference_images"),
        ({"content": [{"type": "text"}]}, "content[0]"),
        ({"prompt": XComArg(), "reference_videos": [Path("/data/clip.mp4")]}, "reference_videos[0]"),
        ({"prompt": "A cat", "content": [{"type": "text", "text": "A dog"}]}, "content"),
        ({"prompt": "A cat", "extra_body": {"seed": 1}}, "extra_body"),
    ],
)
def test_literal_that_cannot_turn_out_right_is_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(SeedanceRequestError) as refused:
        check_literals(arguments)

    assert refused.value.field == field


def test_parsing_a_dag_imports_no_client_and_no_media_library() -> None:
    code = "import sys, airflow_provider_seedance.api.request\nprint(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = {name.partition(".")[0] for name in found.stdout.split()}
    assert "airflow_provider_seedance" in loaded
    assert not loaded & {
        "airflow",
        "requests",
        "aiohttp",
        "urllib3",
        "PIL",
        "av",
        "asyncio",
        "ssl",
        "email",
        "http",
        "fsspec",
    }
