"""The seedance:// file system, as Airflow, fsspec and other tools use it."""

from __future__ import annotations

import errno
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow.providers.common.io.operators.file_transfer import FileTransferOperator
from PIL import Image

from airflow_provider_seedance.api.request import GenerationRequest
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceAuthError, SeedanceServiceError
from airflow_provider_seedance.files.inputs import load_media
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from tests.integration.test_transfer import BODY, make_generation, save
from tests.result_service import GENERATION_ID, MIB, ResultService, mp4


@pytest.fixture
def generation_id(emulator: Emulator) -> str:
    """A finished generation with a last frame."""
    return make_generation(emulator, return_last_frame=True)


@pytest.fixture
def video(generation_id: str, tmp_path: Path) -> bytes:
    """Its video's bytes, by another way."""
    url = SeedanceHook().get_generation(generation_id).video_url
    assert url is not None
    with SeedanceHook().download(url) as response:
        return response.content


def path_to(generation_id: str, name: str = "video.mp4") -> ObjectStoragePath:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return ObjectStoragePath(f"seedance://seedance_default@{generation_id}/{name}")


def test_file_is_opened_and_described(generation_id: str, video: bytes) -> None:
    path = path_to(generation_id)
    assert (path.conn_id, path.bucket, path.key) == ("seedance_default", generation_id, "video.mp4")
    assert path.open("rb").read() == video
    stat = path.stat()
    assert stat.st_size == path.size() == len(video)
    assert stat.st_mtime > 1_700_000_000
    assert path.exists()
    assert path.fs.isfile(path.path)


def test_last_frame_is_an_image(generation_id: str) -> None:
    with path_to(generation_id, "last_frame.png").open("rb") as file:
        assert Image.open(io.BytesIO(file.read())).format == "PNG"


def test_file_streams_and_seeks(emulator: Emulator, generation_id: str, video: bytes) -> None:
    before = emulator.stats()["downloads"]
    with path_to(generation_id).open("rb") as file:
        assert file.read(10) == video[:10]
        file.seek(-10, io.SEEK_END)
        assert file.read() == video[-10:]
        file.seek(100)
        assert (file.tell(), file.read(5)) == (100, video[100:105])
        assert file.read() == video[105:]
    assert emulator.stats()["downloads"] == before + 3


def test_description_costs_a_byte(emulator: Emulator, generation_id: str) -> None:
    path_to(generation_id).stat()
    (request,) = (request for request in emulator.requests() if request["route"] == "download")
    assert request["headers"]["range"] == "bytes=0-0"


def test_small_reads_cost_one_request(emulator: Emulator, generation_id: str, video: bytes) -> None:
    before = emulator.stats()["downloads"]
    with path_to(generation_id).open("rb") as file:
        pieces = list(iter(lambda: file.read(1000), b""))
    assert b"".join(pieces) == video
    assert emulator.stats()["downloads"] == before + 1


def test_each_open_asks_for_a_fresh_link(emulator: Emulator, generation_id: str, video: bytes) -> None:
    path = path_to(generation_id)
    for _ in range(2):
        emulator.expire_links()
        assert path.open("rb").read() == video


def test_link_that_dies_while_it_is_read_is_replaced(service: ResultService) -> None:
    with path_to(GENERATION_ID).open("rb") as file:
        head = file.read(10)
        service.expire_links()
        file.seek(2 * MIB)
        assert head + file.read() == service.data[:10] + service.data[2 * MIB :]


def test_storage_that_ignores_ranges_is_read_too(service: ResultService) -> None:
    service.takes_ranges = False
    with path_to(GENERATION_ID).open("rb") as file:
        file.seek(2 * MIB)
        assert file.read() == service.data[2 * MIB :]
    assert service.ranges == [None, f"bytes={2 * MIB}-"]


@pytest.mark.parametrize("changed", [mp4(3 * MIB) + b"x", mp4(3 * MIB)[:-1] + b"x"], ids=["longer", "as long"])
def test_bytes_that_change_while_they_are_read_are_refused(service: ResultService, changed: bytes) -> None:
    with path_to(GENERATION_ID).open("rb") as file:
        file.read(10)
        service.data = changed
        file.seek(2 * MIB)
        with pytest.raises(SeedanceServiceError, match="changed"):
            file.read()


def test_generation_is_a_folder_of_its_files(generation_id: str) -> None:
    fs = path_to(generation_id).fs
    assert fs.ls(generation_id, detail=False) == [f"{generation_id}/video.mp4", f"{generation_id}/last_frame.png"]
    assert fs.isdir(generation_id)
    assert fs.glob(f"{generation_id}/*.mp4") == [f"{generation_id}/video.mp4"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{}/video.mov", "'video.mov' is none of video.mp4, last_frame.png"),
        ("{}/last_frame.png", "return_last_frame was not requested"),
        ("asyntask_unknown/video.mp4", "asyntask_unknown"),
        ("", "name it"),
    ],
)
def test_what_is_not_there_is_not_found(emulator: Emulator, path: str, said: str) -> None:
    fs = fsspec.filesystem("seedance")
    path = path.format(make_generation(emulator))
    with pytest.raises(FileNotFoundError, match=said):
        fs.open(path)
    assert not fs.exists(path)


def test_video_is_not_there_before_its_generation_is_done(emulator: Emulator) -> None:
    emulator.fault(route="generation", stuck=True)
    path = path_to(SeedanceHook().create_generation(BODY))
    assert not path.exists()
    with pytest.raises(FileNotFoundError, match="not finished"):
        path.open("rb")


def test_service_that_cannot_be_asked_is_not_absence(emulator: Emulator, generation_id: str) -> None:
    emulator.set_api_keys("sk-another")
    with pytest.raises(SeedanceAuthError):
        path_to(generation_id).exists()


def test_parts_are_read_from_either_end(generation_id: str, video: bytes) -> None:
    fs, path = path_to(generation_id).fs, f"{generation_id}/video.mp4"
    assert fs.read_block(path, 4, 8) == video[4:12]
    assert fs.read_block(path, len(video) - 5, 100) == video[-5:]
    assert fs.cat_file(path, start=-10) == video[-10:]
    assert fs.cat_file(path, start=4, end=-10) == video[4:-10]
    assert fs.tail(path, 7) == video[-7:]


@pytest.mark.parametrize(
    "change",
    [
        lambda fs, path: fs.open(path, "wb"),
        lambda fs, path: fs.pipe_file(path, b"x"),
        lambda fs, path: fs.put_file(__file__, path),
        lambda fs, path: fs.touch(path, truncate=False),
        lambda fs, path: fs.rm(path),
        lambda fs, path: fs.rm_file(path),
        lambda fs, path: fs.delete(path.partition("/")[0], recursive=True),
        lambda fs, path: fs.mv(path, f"{path}.old"),
        lambda fs, path: fs.rename(path, f"{path}.old"),
        lambda fs, path: fs.copy(path, f"{path}.old"),
        lambda fs, path: fs.mkdir("folder"),
        lambda fs, path: fs.makedirs("folder/folder", exist_ok=True),
        lambda fs, path: fs.rmdir(path.partition("/")[0]),
    ],
)
def test_file_system_is_read_only(generation_id: str, change: Callable[[Any, str], Any]) -> None:
    fs, path = path_to(generation_id).fs, f"{generation_id}/video.mp4"
    with pytest.raises(OSError, match="read-only") as caught:
        change(fs, path)
    assert caught.value.errno == errno.EROFS
    assert fs.exists(path)


def test_signed_link_is_fresh(emulator: Emulator, generation_id: str, video: bytes) -> None:
    emulator.expire_links()
    with SeedanceHook().download(path_to(generation_id).sign()) as response:
        assert response.content == video


# -- tools


def test_fsspec_opens_it_by_its_address(generation_id: str, video: bytes) -> None:
    with fsspec.open(f"seedance://seedance_default@{generation_id}/video.mp4") as file:
        assert file.read() == video


def test_av_plays_it_from_there(generation_id: str) -> None:
    with path_to(generation_id).open("rb") as file, av.open(file) as container:
        assert container.duration / av.time_base == pytest.approx(4, abs=0.2)
        container.seek(3 * av.time_base)
        assert next(container.decode(video=0)).width == 864


@pytest.mark.parametrize("overwrite", [True, False])
def test_file_transfer_operator_copies_it(generation_id: str, video: bytes, tmp_path: Path, overwrite: bool) -> None:
    target = tmp_path / "copy.mp4"
    FileTransferOperator(
        task_id="copy",
        src=f"seedance://seedance_default@{generation_id}/video.mp4",
        dst=f"file://{target}",
        overwrite=overwrite,
    ).execute({})
    assert target.read_bytes() == video


def test_last_frame_is_the_first_of_another(emulator: Emulator, generation_id: str) -> None:
    request = GenerationRequest(first_frame=str(path_to(generation_id, "last_frame.png")))
    (sent,) = load_media(request.media, now=0)
    assert sent.startswith("data:image/png;base64,")


def test_transfer_takes_the_same_bytes(generation_id: str, video: bytes, tmp_path: Path) -> None:
    save(generation_id, f"{tmp_path}/video.mp4")
    assert (tmp_path / "video.mp4").read_bytes() == video
