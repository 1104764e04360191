"""The transfer to files: names, what is there already, what breaks off, and workers that die."""

from __future__ import annotations

import errno
import hashlib
import logging
import multiprocessing
import os
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset, ObjectStoragePath
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceError, SeedanceRequestError, SeedanceServiceError
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator
from tests.clock import VirtualClock
from tests.integration.test_transfer import make_generation, save
from tests.result_service import GENERATION_ID, MIB, ResultService, mp4

SECONDS = 4.0
VIDEO = mp4(100_000)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200) + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.fixture
def generation_id(emulator: Emulator) -> str:
    """A finished generation with a last frame."""
    return make_generation(emulator, return_last_frame=True)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# -- the result


def test_result_tells_what_was_saved(generation_id: str, tmp_path: Path) -> None:
    result = save(generation_id, f"{tmp_path}/video.mp4")
    assert list(result) == [
        "path",
        "size",
        "sha256",
        "content_type",
        "duration",
        "seconds",
        "bytes_per_second",
        "generation_id",
    ]
    assert result["sha256"] == hashlib.sha256((tmp_path / "video.mp4").read_bytes()).hexdigest()
    assert (result["content_type"], result["generation_id"]) == ("video/mp4", generation_id)
    assert result["duration"] == pytest.approx(SECONDS, abs=0.1)
    assert result["size"] / result["bytes_per_second"] == pytest.approx(result["seconds"], abs=0.001)


def test_progress_is_logged(service: ResultService, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service.data = mp4(12 * MIB)
    with caplog.at_level(logging.INFO):
        save(GENERATION_ID, f"{tmp_path}/video.mp4", clock=VirtualClock(step=1.0))
    lines = [record.getMessage() for record in caplog.records if "bytes so far" in record.getMessage()]
    assert lines == [
        f"{5 * MIB} of {12 * MIB} bytes so far, 1.0 MB/s.",
        f"{10 * MIB} of {12 * MIB} bytes so far, 1.0 MB/s.",
    ]


def test_outlets_say_which_video_it_is(generation_id: str, tmp_path: Path) -> None:
    asset, given = Asset(f"file://{tmp_path}/video.mp4"), {"generation_id": generation_id, "prompt_fingerprint": "ab12"}
    events = OutletEventAccessors()
    operator = SeedanceToObjectStorageOperator(
        task_id="save", generation=given, path=f"{tmp_path}/video.mp4", outlets=[asset]
    )
    context: Any = {"outlet_events": events}
    result = operator.execute(context)
    extra: Any = events[asset].extra
    assert {name: extra[name] for name in ("path", "size", "sha256", "generation_id", "prompt_fingerprint")} == {
        **{name: result[name] for name in ("path", "size", "sha256", "generation_id")},
        "prompt_fingerprint": "ab12",
    }
    assert (extra["model"], extra["duration"]) == ("doubao-seedance-2-0-260128", 4)
    assert extra["total_tokens"] > 0
    assert "signature" not in str(extra).lower()


def test_event_that_cannot_be_told_does_not_cost_the_task(generation_id: str, tmp_path: Path) -> None:
    operator = SeedanceToObjectStorageOperator(
        task_id="save", generation=generation_id, path=f"{tmp_path}/video.mp4", outlets=[Asset("s3://bucket/videos")]
    )
    assert operator.execute({})["size"] > 0


# -- names


@pytest.mark.parametrize(
    ("path", "what", "expected"),
    [
        ("{tmp}/{{generation_id}}-{{resolution}}.{{extension}}", "video", ["ID-480p.mp4"]),
        ("{tmp}/{{generation_id}}-{{resolution}}.{{extension}}", "last_frame", ["ID-480p.png"]),
        ("{tmp}/{{ratio}}/{{duration}}.mp4", "video", ["16x9/4.mp4"]),
        ("{tmp}/new/", "both", ["new/ID.mp4", "new/ID.png"]),
        ("{tmp}", "last_frame", ["ID.png"]),
        ("{tmp}", ["last_frame"], ["ID.png"]),
        ("{tmp}/a.mp4", ("last_frame", "video"), ["a.mp4", "a.png"]),
        ("{tmp}/film.v1.mp4", "both", ["film.v1.mp4", "film.v1.png"]),
    ],
)
def test_file_is_named(
    emulator: Emulator, tmp_path: Path, path: str, what: str | list[str], expected: list[str]
) -> None:
    made = make_generation(emulator, return_last_frame=True, ratio="16:9")
    save(made, path.format(tmp=tmp_path), what=what)
    assert files_in(tmp_path) == [name.replace("ID", made) for name in expected]


def test_both_are_told_of(generation_id: str, tmp_path: Path) -> None:
    result = save(generation_id, f"{tmp_path}/", what="both")
    frame = result["last_frame"]
    assert (frame["content_type"], frame["duration"]) == ("image/png", None)
    assert frame["path"].endswith(f"{generation_id}.png")
    assert frame["size"] == (tmp_path / f"{generation_id}.png").stat().st_size


def test_last_frame_that_was_not_asked_for_is_missed_before_anything_is_saved(
    emulator: Emulator, tmp_path: Path
) -> None:
    with pytest.raises(SeedanceRequestError, match="return_last_frame=True") as caught:
        save(make_generation(emulator), f"{tmp_path}/", what="both")
    assert caught.value.field == "what"
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "field", "said"),
    [
        ({"path": "/tmp/{prompt}.mp4"}, "path", "has {prompt} in it, which is not known. Use {generation_id}"),
        ({"what": "frame"}, "what", "is 'frame'. Give 'video', 'last_frame' or 'both'"),
        ({"what": []}, "what", "is an empty list. Give"),
        ({"what": ["video", "both"]}, "what", "is of type list. Give"),
        ({"what": None}, "what", "is None. Give"),
        ({"if_exists": "ask"}, "if_exists", "is 'ask'. Give one of skip, overwrite, fail"),
        ({"path": "  "}, "path", "pushed nothing"),
        ({"path": "~/a.mp4"}, "path", "Give an absolute path"),
        ({"path": "/tmp/{seed:05d}.mp4"}, "path", "has {seed:05d} in it"),
        ({"generation": None}, "generation", "None: the upstream task pushed nothing under that key"),
        ({"generation": "None"}, "generation", "the upstream task pushed nothing under that key"),
    ],
)
def test_bad_argument_is_named_when_the_dag_is_parsed(arguments: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(SeedanceRequestError) as caught:
        SeedanceToObjectStorageOperator(**{"task_id": "save", "generation": "x", "path": "/tmp/", **arguments})
    assert caught.value.field == field
    assert said in str(caught.value)


def test_template_is_not_judged_when_the_dag_is_parsed() -> None:
    for what in ("{{ params.what }}", ["{{ params.what }}"]):
        SeedanceToObjectStorageOperator(task_id="save", generation="x", path="{{ params.path }}", what=what)


def test_path_object_is_taken(generation_id: str, tmp_path: Path) -> None:
    saved = save(generation_id, tmp_path / "a.mp4"), save(generation_id, ObjectStoragePath(f"file://{tmp_path}/b.mp4"))
    assert [result["size"] for result in saved] == [(tmp_path / name).stat().st_size for name in ("a.mp4", "b.mp4")]


def test_path_object_of_a_folder_is_a_folder(generation_id: str, tmp_path: Path) -> None:
    result = save(generation_id, ObjectStoragePath(f"file://{tmp_path}/videos/"))
    assert files_in(tmp_path) == [f"videos/{generation_id}.mp4"]
    assert result["path"] == f"file://{tmp_path}/videos/{generation_id}.mp4"


@pytest.mark.parametrize("name", ["deep-folder_1/" * 20 + "a.mp4", "take#1?.mp4"])
def test_result_has_the_files_real_path(generation_id: str, tmp_path: Path, name: str) -> None:
    for path in (f"{tmp_path}/{name}", f"file://{tmp_path}/{name}"):
        result = save(generation_id, path)
        assert Path(result["path"].removeprefix("file://")).stat().st_size == result["size"]


@pytest.mark.parametrize(
    "path",
    ["s3://AKIAUSER:PASSWORD@bucket/a.mp4", "s3://AKIAUSER:PA/SSWORD@bucket/a", "s3://AKIAUSER%3APASSWORD@bucket/a"],
)
def test_password_in_a_path_is_refused_and_not_quoted(
    generation_id: str, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(SeedanceRequestError, match="Airflow connection") as caught:
        save(generation_id, path)
    assert caught.value.field == "path"
    assert "AKIAUSER" not in str(caught.value) + caplog.text
    assert "SSWORD" not in str(caught.value) + caplog.text


@pytest.mark.parametrize("in_folder", [False, True])
def test_what_is_neither_file_nor_folder_is_not_replaced(
    service: ResultService, tmp_path: Path, in_folder: bool
) -> None:
    pipe = tmp_path / f"{GENERATION_ID}.mp4"
    os.mkfifo(pipe)
    (tmp_path / "link.mp4").symlink_to(pipe)
    for path in (tmp_path / "link.mp4", f"{tmp_path}/" if in_folder else pipe):
        with pytest.raises(SeedanceRequestError, match="neither a file nor a folder") as caught:
            save(GENERATION_ID, path, if_exists="overwrite")
        assert caught.value.field == "path"
    assert pipe.is_fifo()
    assert not service.ranges


def test_storage_that_is_not_installed_is_named_with_its_package(generation_id: str) -> None:
    with pytest.raises(SeedanceRequestError, match="install apache-airflow-providers-google") as caught:
        save(generation_id, "gs://bucket/a.mp4")
    assert caught.value.field == "path"


# -- what is there already


def test_same_bytes_are_skipped_and_hashed(generation_id: str, tmp_path: Path) -> None:
    first = save(generation_id, f"{tmp_path}/video.mp4")
    before = (tmp_path / "video.mp4").stat()
    again = save(generation_id, f"{tmp_path}/video.mp4")
    after = (tmp_path / "video.mp4").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (again["sha256"], again["duration"]) == (first["sha256"], first["duration"])


@pytest.mark.parametrize("there", [b"other bytes", VIDEO + b"x", VIDEO[:-1] + b"x"])
@pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
def test_other_bytes_are_replaced(service: ResultService, tmp_path: Path, there: bytes, if_exists: str) -> None:
    service.data = VIDEO
    (tmp_path / "video.mp4").write_bytes(there)
    save(GENERATION_ID, f"{tmp_path}/video.mp4", if_exists=if_exists)
    assert (tmp_path / "video.mp4").read_bytes() == VIDEO
    assert files_in(tmp_path) == ["video.mp4"]


def test_overwrite_does_not_look(generation_id: str, tmp_path: Path) -> None:
    save(generation_id, f"{tmp_path}/video.mp4")
    before = (tmp_path / "video.mp4").stat().st_ino
    save(generation_id, f"{tmp_path}/video.mp4", if_exists="overwrite")
    assert (tmp_path / "video.mp4").stat().st_ino != before


def test_fail_keeps_what_is_there(generation_id: str, tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"precious")
    with pytest.raises(SeedanceRequestError, match="exists") as caught:
        save(generation_id, f"{tmp_path}/video.mp4", if_exists="fail")
    assert caught.value.field == "path"
    assert (tmp_path / "video.mp4").read_bytes() == b"precious"


# -- what is interrupted


def test_interrupted_download_resumes_at_the_byte_reached(service: ResultService, tmp_path: Path) -> None:
    service.data = mp4(7 * MIB)
    service.breaks = [3 * MIB, 2 * MIB]
    save(GENERATION_ID, f"{tmp_path}/video.mp4")
    assert (tmp_path / "video.mp4").read_bytes() == service.data
    assert service.ranges[0] is None
    first, second = (int(str(found).removeprefix("bytes=").rstrip("-")) for found in service.ranges[1:])
    assert 2 * MIB <= first <= 3 * MIB
    assert first + MIB <= second <= first + 2 * MIB


def test_interruption_is_logged_in_sentences(
    service: ResultService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    service.breaks = [2 * MIB, 0, 0]
    save(GENERATION_ID, f"{tmp_path}/video.mp4", clock=clock)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 3
    for line, seconds in zip(lines, (1, 2, 4), strict=True):
        assert re.fullmatch(
            rf"Download of the video of generation {GENERATION_ID} interrupted at byte {2 * MIB}: "
            rf"[^.]*[^. ]\. Resuming with a new link in {seconds} s\.",
            line,
        )
    assert clock.pauses == [1, 2, 4]


def test_progress_begins_the_count_of_attempts_again(service: ResultService, tmp_path: Path) -> None:
    clock = VirtualClock()
    service.data = mp4(12 * MIB)
    service.breaks = [0, 0, 0, 0, 2 * MIB, 0, 0, 0]
    save(GENERATION_ID, f"{tmp_path}/video.mp4", clock=clock)
    assert clock.pauses == [1, 2, 4, 8, 1, 2, 4, 8]


def test_storage_that_keeps_interrupting_without_progress_is_given_up(
    emulator: Emulator, generation_id: str, tmp_path: Path
) -> None:
    emulator.fault(route="download", drop="mid_answer", after_bytes=0, count=0)
    before = emulator.stats()["downloads"]
    with pytest.raises(SeedanceServiceError, match="interrupted 5 times at byte 0"):
        save(generation_id, f"{tmp_path}/video.mp4")
    assert emulator.stats()["downloads"] == before + 5
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (VIDEO[:-1], "ends in the middle of a box"),
        (VIDEO[: len(VIDEO) // 2], "ends in the middle of a box"),
        (VIDEO + b"\0\0\0\3free", "has a box of an impossible size"),
        (VIDEO[:4] + b"moov" + VIDEO[8:], "does not begin like an mp4"),
        (VIDEO.replace(b"moov", b"free"), "has no moov box"),
    ],
)
def test_video_of_the_right_length_and_the_wrong_structure_is_refused(
    service: ResultService, tmp_path: Path, data: bytes, said: str
) -> None:
    service.data = data
    with pytest.raises(SeedanceServiceError, match=f"does not lead to a valid mp4: it {said}"):
        save(GENERATION_ID, f"{tmp_path}/video.mp4")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [(PNG[:-3], "ends before its end marker"), (b"<html>" * 20, "does not begin like an image")],
)
def test_last_frame_that_is_no_image_is_refused(service: ResultService, tmp_path: Path, data: bytes, said: str) -> None:
    service.data = data
    with pytest.raises(SeedanceServiceError, match=f"does not lead to a valid image: it {said}"):
        save(GENERATION_ID, f"{tmp_path}/", what="last_frame")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, SeedanceServiceError),
        (errno.EIO, SeedanceServiceError),
        (errno.EROFS, SeedanceRequestError),
        (errno.EACCES, SeedanceRequestError),
    ],
)
def test_error_of_the_disk_decides_whether_a_retry_helps(
    generation_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[SeedanceError]
) -> None:
    def fail(self: object, *args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fsspec.implementations.local.LocalFileOpener.write", fail)
    with pytest.raises(expected, match=os.strerror(number)):
        save(generation_id, f"{tmp_path}/video.mp4")
    assert files_in(tmp_path) == []


# -- workers that die


def _save_and_die(generation_id: str, path: str, at: str) -> None:
    """Save, and be gone at a write or at the renaming, with nothing cleaned up."""
    writes = iter(range(1000))

    def die(*args: object) -> None:
        os._exit(9)

    from fsspec.implementations.local import LocalFileOpener, LocalFileSystem

    if at == "rename":
        LocalFileSystem.mv = die
    else:
        write = LocalFileOpener.write
        LocalFileOpener.write = lambda self, data: write(self, data) if next(writes) < int(at) else die()
    save(generation_id, path)


@pytest.mark.parametrize("at", ["0", "1", "3", "rename"])
def test_killed_worker_and_a_retry_leave_one_good_file(service: ResultService, tmp_path: Path, at: str) -> None:
    service.data = mp4(5 * MIB)
    path = f"{tmp_path}/video.mp4"
    worker = multiprocessing.get_context("fork").Process(target=_save_and_die, args=(GENERATION_ID, path, at))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 9
    left = files_in(tmp_path)
    assert len(left) == 1
    assert left[0].endswith(".part")
    save(GENERATION_ID, path)
    assert files_in(tmp_path) == ["video.mp4"]
    assert (tmp_path / "video.mp4").read_bytes() == service.data
