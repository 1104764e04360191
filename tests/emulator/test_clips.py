from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import av
import pytest
import requests
from PIL import Image

from airflow_provider_seedance.emulator import clips
from tests.emulator.conftest import Client

# the vendor's table, typed in from its page
SIZES = {
    "480p": "16:9 864x496, 4:3 752x560, 1:1 640x640, 3:4 560x752, 9:16 496x864, 21:9 992x432",
    "720p": "16:9 1280x720, 4:3 1112x834, 1:1 960x960, 3:4 834x1112, 9:16 720x1280, 21:9 1470x630",
    "1080p": "16:9 1920x1080, 4:3 1664x1248, 1:1 1440x1440, 3:4 1248x1664, 9:16 1080x1920, 21:9 2208x944",
}
ROWS = [(resolution, *pair.split()) for resolution, row in SIZES.items() for pair in row.split(", ")]


def frames(clip: bytes) -> list[Image.Image]:
    with av.open(io.BytesIO(clip), "r") as container:
        decoded: Iterator[Any] = container.decode(video=0)
        return [frame.to_image() for frame in decoded]


@pytest.mark.parametrize(("resolution", "ratio", "size"), ROWS)
def test_clip_has_the_pixels_of_the_vendors_table(client: Client, resolution: str, ratio: str, size: str) -> None:
    clip = client.download(resolution=resolution, ratio=ratio, duration=4, generate_audio=False)
    with av.open(io.BytesIO(clip), "r") as container:
        assert len(container.streams) == 1
        [stream] = container.streams.video
        assert f"{stream.width}x{stream.height}" == size
        assert stream.codec_context.name == "h264"


@pytest.mark.parametrize(("duration", "sound"), [(4, True), (5, False), (15, True)])
def test_clip_has_24_frames_per_second_the_asked_length_and_sound_if_asked(
    client: Client, duration: int, sound: bool
) -> None:
    clip = client.download(resolution="480p", duration=duration, generate_audio=sound)
    assert clip[4:8] == b"ftyp"
    with av.open(io.BytesIO(clip), "r") as container:
        video: Any = container.streams.video[0]
        assert video.average_rate == 24
        assert sum(1 for _ in container.decode(video)) == 24 * duration
        assert float(video.duration * video.time_base) == duration
        assert container.duration == pytest.approx(duration * 1e6, abs=30_000)
        assert [(stream.codec_context.name, stream.channels) for stream in container.streams.audio] == (
            [("aac", 2)] if sound else []
        )


def test_frames_differ_in_the_timecode_only(client: Client) -> None:
    first, *_, last = frames(client.download(resolution="480p", ratio="16:9", duration=4, generate_audio=False))
    assert first.crop((0, 372, 864, 410)).tobytes() != last.crop((0, 372, 864, 410)).tobytes()
    top, later = (image.crop((0, 0, 864, 300)).convert("L") for image in (first, last))
    differences = [abs(a - b) for a, b in zip(top.tobytes(), later.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 2


def test_prompt_mode_and_watermark_are_drawn() -> None:
    spec = clips.ClipSpec(864, 496, 4, False, "a cat", "text")
    specs = [spec, *(replace(spec, **change) for change in ({"prompt": "a dog"}, {"mode": "x"}, {"watermark": True}))]
    assert len({frames(clips.render(spec))[0].tobytes() for spec in specs}) == 4


@pytest.mark.parametrize("prompt", ["", "猫が走る", "\ud800", "\0\n\t", "x" * 100_000])
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert clips.render(clips.ClipSpec(640, 640, 4, False, prompt, "text"))


@pytest.mark.parametrize("role", ["first_frame", "reference_image"])
def test_clip_shows_the_picture_given_as_data_uri_and_takes_its_ratio(
    client: Client, image_uri: Callable[..., str], role: str
) -> None:
    item = {"type": "image_url", "image_url": {"url": image_uri(400, 700)}, "role": role}
    clip = client.download(content=[item], resolution="480p", duration=4)
    picture = frames(clip)[0]
    assert picture.size == (496, 864)
    pixel = picture.getpixel((248, 400))
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    assert red > 180
    assert green < 90
    assert blue < 90


def test_last_frame_is_a_png_of_the_clips_last_frame(client: Client) -> None:
    task = client.task(client.generate(resolution="480p", ratio="1:1", duration=4, return_last_frame=True))
    answer = requests.get(task["data"]["content"]["last_frame_url"], timeout=30)
    clip = requests.get(task["result_url"], timeout=30).content
    assert answer.headers["Content-Type"] == "image/png"
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, image.size) == ("PNG", (640, 640))
    assert image.tobytes() == frames(clip)[-1].tobytes()


def test_last_frame_is_linked_only_on_request(client: Client) -> None:
    assert "last_frame_url" not in client.task(client.generate())["data"]["content"]


def test_original_of_the_ultra_model_is_the_smaller_clip(client: Client) -> None:
    task = client.task(client.generate(model="seedance-2.0-ultra", resolution="720p", ratio="1:1", duration=4))
    widths = []
    for link in (task["original_result_url"], task["result_url"]):
        with av.open(io.BytesIO(requests.get(link, timeout=30).content)) as container:
            widths.append(container.streams.video[0].width)
    assert widths == [640, 960]


def test_clips_of_two_generations_differ_in_bytes(client: Client) -> None:
    fields = {"resolution": "480p", "duration": 4, "generate_audio": False}
    assert client.download(**fields) != client.download(**fields)


def test_event_loop_keeps_running_while_a_clip_is_made() -> None:
    async def longest_pause() -> float:
        studio = clips.Studio()
        making = asyncio.create_task(studio.make(clips.ClipSpec(1280, 720, 6, True, "pause", "text")))
        longest = 0.0
        while not making.done():
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - start)
        studio.close()
        return longest

    start = time.perf_counter()
    pause = asyncio.run(longest_pause())
    assert pause < (time.perf_counter() - start) / 2


def test_clip_requested_twice_at_once_is_made_once() -> None:
    async def ask() -> list[bytes]:
        studio, spec = clips.Studio(), clips.ClipSpec(640, 640, 1, False, "made once", "text")
        results = await asyncio.gather(*(studio.make(spec) for _ in range(5)))
        studio.close()
        return results

    before = clips.render.cache_info()
    assert len(set(asyncio.run(ask()))) == 1
    after = clips.render.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 0)
