from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator, EmulatorControl, world
from airflow_provider_seedance.emulator.__main__ import main
from tests.emulator.conftest import Client


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "emulator.state"


def described(emulator: EmulatorControl) -> list[dict[str, Any]]:
    return emulator.generations()


def test_generations_and_counters_outlive_a_restart(state: Path) -> None:
    with Emulator(speed=1e-6, state=state) as first:
        client = Client(first)
        for text in ("one", "two"):
            client.task(client.generate(content=[{"type": "text", "text": text}]))
        before = described(first), first.stats()
    with Emulator(speed=1e-6, state=state) as second:
        assert (described(second), second.stats()) == before
        assert [made["request"]["content"][0]["text"] for made in described(second)] == ["one", "two"]


def test_generation_made_just_before_sigkill_is_known_afterwards(state: Path) -> None:
    command = [sys.executable, "-m", "airflow_provider_seedance.emulator", "--port", "0", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removeprefix("listening on ")
        answer = requests.post(
            f"{url}/v1/video/generations",
            json={"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}]},
            headers={"Authorization": "Bearer sk-emulator"},
            timeout=30,
        )
        os.kill(process.pid, signal.SIGKILL)
    with Emulator(state=state) as second:
        assert [made["id"] for made in described(second)] == [answer.json()["id"]]
        assert second.stats()["posts"] == 1


def test_result_of_a_generation_is_the_same_after_a_restart(state: Path, image_uri: Callable[..., str]) -> None:
    frame = {"type": "image_url", "role": "first_frame", "image_url": {"url": image_uri()}}
    with Emulator(speed=float("inf"), state=state) as first:
        client = Client(first)
        content = [{"type": "text", "text": "a cat"}, frame]
        generation_id = client.generate(content=content, return_last_frame=True)
        before = client.task(generation_id)["data"]
    with Emulator(speed=float("inf"), state=state) as second:
        after = Client(second).task(generation_id)["data"]
    for answer in (before, after):
        answer["content"] = sorted(answer["content"])  # links of another port and second
        del answer["updated_at"]
    assert after == before


def test_link_given_before_a_restart_still_leads_to_the_video(state: Path) -> None:
    with Emulator(speed=float("inf"), state=state) as first:
        client = Client(first)
        path = client.task(client.generate(resolution="480p"))["result_url"].removeprefix(first.url)
    with Emulator(speed=float("inf"), state=state) as second:
        assert requests.get(second.url + path, timeout=60).content[4:8] == b"ftyp"
        second.expire_links()
    with Emulator(speed=float("inf"), state=state) as third:
        assert requests.get(third.url + path, timeout=60).status_code == 403


def test_rotated_key_stays_rotated(state: Path) -> None:
    with Emulator(state=state) as first:
        first.set_api_keys("sk-new")
    with Emulator(state=state) as second:
        statuses = [
            requests.get(f"{second.url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=10).status_code
            for key in ("sk-emulator", "sk-new")
        ]
    assert statuses == [401, 200]


def test_fate_of_a_generation_outlives_a_restart(state: Path) -> None:
    failure = {"code": "InternalServiceError", "message": "x"}
    with Emulator(speed=1e-6, state=state) as first:
        first.fault(route="generation", fail=failure)
        generation_id = Client(first).generate()
    with Emulator(speed=1e-6, state=state) as second:
        second.finish()
        assert Client(second).task(generation_id)["data"]["error"] == failure


def test_reset_forgets_what_the_file_holds(state: Path) -> None:
    with Emulator(state=state) as first:
        Client(first).generate()
        first.reset()
    with Emulator(state=state) as second:
        assert (described(second), second.stats()["posts"]) == ([], 0)


def test_file_of_another_kind_is_refused(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.write_text("no database" * 100)
    with pytest.raises(ValueError, match="cannot be used as the emulator's state"):
        Emulator(state=state).start()
    assert main(["--port", "0", "--state", str(state)]) == 1
    assert "cannot be used as the emulator's state" in capsys.readouterr().err


def test_forgotten_generations_stay_counted_after_a_restart(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "_REMEMBERED_GENERATIONS", 1)
    with Emulator(state=state) as first:
        for _ in range(3):
            Client(first).generate()
        before = described(first), first.stats()
    with Emulator(state=state) as second:
        assert (described(second), second.stats()) == before
        assert second.stats()["created"] == 3
