from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_seedance.clock import Clock
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
)
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator
from tests.clock import VirtualClock
from tests.harness import Task
from tests.result_service import GENERATION_ID, MIB, ResultService, mp4

BODY = {
    "model": "seedance-2.0",
    "content": [{"type": "text", "text": "a cat"}],
    "duration": 4,
    "resolution": "480p",
    "generate_audio": False,
}


def save(generation: Any, path: Any, *, clock: Clock | None = None, run_id: str = "manual__1", **arguments: Any) -> Any:
    """Run the transfer, in virtual time that begins now if nothing else is said."""
    operator = SeedanceToObjectStorageOperator(task_id="save", generation=generation, path=path, **arguments)
    operator.hook = SeedanceHook(clock=clock or VirtualClock(start=time.time()))
    return Task(lambda: operator, run_id=run_id).run()


def make_generation(emulator: Emulator, **fields: Any) -> str:
    """Make one, and let it finish."""
    made = SeedanceHook().create_generation({**BODY, **fields})
    emulator.finish()
    return made


@pytest.fixture
def generation_id(emulator: Emulator) -> str:
    """A finished generation."""
    return make_generation(emulator)


@pytest.mark.parametrize("spelling", ["{}/video.mp4", "file://{}/video.mp4", "file://{}/new/folder/video.mp4"])
def test_video_is_saved_whole_under_its_name(generation_id: str, tmp_path: Path, spelling: str) -> None:
    result = save(generation_id, spelling.format(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["video.mp4"]
    assert files[0].stat().st_size == result["size"] > 1000
    assert files[0].read_bytes()[4:8] == b"ftyp"
    assert result["path"].endswith("video.mp4")


def test_folder_takes_the_generations_id_as_name(generation_id: str, tmp_path: Path) -> None:
    save({"generation_id": generation_id, "video_url": "https://dead.example/link"}, f"file://{tmp_path}/")
    assert (tmp_path / f"{generation_id}.mp4").exists()


def test_dead_link_of_the_result_does_no_harm(emulator: Emulator, generation_id: str, tmp_path: Path) -> None:
    emulator.expire_links()
    assert save(generation_id, f"{tmp_path}/video.mp4")["size"] > 0


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "mid_answer"},
        {"drop": "before_body"},
        {"status": 403, "body": "<Error><Code>AccessDenied</Code></Error>"},
        {"status": 410, "body": ""},
        {"status": 503, "body": ""},
    ],
)
def test_interrupted_transfer_starts_over_with_a_new_link(
    emulator: Emulator, generation_id: str, tmp_path: Path, fault: dict[str, Any]
) -> None:
    emulator.fault(route="download", count=2, **fault)
    before = emulator.stats()["queries"]
    assert save(generation_id, f"{tmp_path}/video.mp4")["size"] > 0
    assert emulator.stats()["queries"] == before + 3
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 200, "body": ""}, "empty"),
        ({"status": 200, "body": "<html>not a video</html>"}, "not lead to a valid mp4"),
        ({"status": 403, "body": "", "count": 0}, "no longer kept"),
        ({"drop": "mid_answer", "count": 0}, "interrupted 5 times"),
    ],
)
def test_what_is_no_video_is_refused_and_leaves_nothing(
    emulator: Emulator, generation_id: str, tmp_path: Path, fault: dict[str, Any], said: str
) -> None:
    emulator.fault(route="download", **fault)
    with pytest.raises(SeedanceServiceError, match=said):
        save(generation_id, f"{tmp_path}/video.mp4")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_untouched_by_a_transfer_that_fails(
    emulator: Emulator, generation_id: str, tmp_path: Path
) -> None:
    (tmp_path / "video.mp4").write_bytes(b"yesterday's")
    emulator.fault(route="download", count=0, drop="mid_answer")
    with pytest.raises(SeedanceServiceError):
        save(generation_id, f"{tmp_path}/video.mp4")
    assert (tmp_path / "video.mp4").read_bytes() == b"yesterday's"


@pytest.mark.parametrize("path", ["", "  ", "/proc/nowhere/video.mp4", "nosuchscheme://bucket/video.mp4"])
def test_path_that_cannot_be_written_is_named(generation_id: str, path: str) -> None:
    with pytest.raises(SeedanceRequestError, match=r"^path ") as caught:
        save(generation_id, path)
    assert caught.value.field == "path"


def test_message_about_a_path_holds_no_signature(generation_id: str) -> None:
    with pytest.raises(SeedanceRequestError, match=r"https://bucket\.example/video\.mp4") as caught:
        save(generation_id, "https://bucket.example/video.mp4?X-Amz-Signature=0123456789abcdef")
    assert "0123456789abcdef" not in str(caught.value)


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ({"stuck": True}, SeedanceRequestError),
        ({"fail": {"code": "OutputVideoSensitiveContentDetected", "message": "x"}}, SeedanceModerationError),
        ({"no_link": 0}, SeedanceError),
    ],
)
def test_generation_without_a_video_is_a_typed_error(
    emulator: Emulator, tmp_path: Path, fate: dict[str, Any], expected: type[SeedanceError]
) -> None:
    emulator.fault(route="generation", **({"no_link": 100} if "no_link" in fate else fate))
    made = SeedanceHook().create_generation(BODY)
    emulator.finish()
    with pytest.raises(expected):
        save(made, f"{tmp_path}/video.mp4")


def test_unknown_generation_is_not_found(emulator: Emulator, tmp_path: Path) -> None:
    with pytest.raises(SeedanceNotFoundError):
        save("asyntask_unknown", f"{tmp_path}/video.mp4")


def test_memory_does_not_grow_with_the_video(service: ResultService, tmp_path: Path) -> None:
    service.data = mp4(128 * MIB)
    tracemalloc.start()
    result = save(GENERATION_ID, f"{tmp_path}/video.mp4")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result["size"] == 128 * MIB
    assert peak < 32 * MIB
