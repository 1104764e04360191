"""
The clips: real mp4s made with PyAV, their text drawn with Pillow. A clip costs well under a second of CPU.

Only a strip with a timecode and a progress bar moves. It is written straight into the luma plane of a single frame,
which is encoded again and again.
"""

from __future__ import annotations

import asyncio
import io
import struct
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_seedance.emulator.catalog import FPS

if TYPE_CHECKING:
    from PIL.Image import Image

_SAMPLE_RATE = 48_000
#: Luma values in the limited range that H.264 players expect.
_BLACK, _WHITE = 16, 235
_SHOWN_CHARACTERS = 1000
_COLORS = {
    "text": (32, 48, 92),
    "first frame": (28, 84, 68),
    "first and last frame": (84, 60, 24),
    "reference": (84, 32, 76),
}


@dataclass(frozen=True)
class ClipSpec:
    """
    All that a clip shows. Equal specs share one rendering.

    :param width: Width in pixels.
    :param height: Height in pixels.
    :param seconds: Length, exact to the frame.
    :param sound: Whether it has a sound track.
    :param prompt: Text that is drawn.
    :param mode: Heading that is drawn; it also chooses the background color.
    :param watermark: Whether a watermark is drawn.
    :param picture: An encoded image to show behind the text, or None.
    """

    width: int
    height: int
    seconds: int
    sound: bool
    prompt: str
    mode: str
    watermark: bool = False
    picture: bytes | None = None


def stamped(clip: bytes, name: str) -> bytes:
    """Return a clip with a name in a ``free`` box at its end, so that the files of two generations always differ."""
    payload = name.encode()
    return clip + struct.pack(">I4s", 8 + len(payload), b"free") + payload


@lru_cache(maxsize=32)
def render(spec: ClipSpec) -> bytes:
    """
    Make a clip: H.264 at 24 fps and, with sound, an AAC stereo track.

    :param spec: What it shows.
    :returns: The mp4 file.
    """
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "crf": "28", "g": str(FPS), "threads": "1"}
        video: Any = container.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = spec.width, spec.height, "yuv420p"
        sound: Any = (
            container.add_stream("aac", rate=_SAMPLE_RATE, layout="stereo", options={"aac_coder": "fast"})
            if spec.sound
            else None
        )
        from_image: Any = av.VideoFrame.from_image
        frame = from_image(_still(spec)).reformat(format="yuv420p")
        luma, line = memoryview(frame.planes[0]), frame.planes[0].line_size
        top = (spec.height // 2 + spec.height // 4) * line
        total = FPS * spec.seconds
        for number in range(total):
            strip = _strip(spec, number, total)
            rows = strip.tobytes()
            for row in range(strip.height):
                start = top + row * line
                luma[start : start + spec.width] = rows[row * spec.width : (row + 1) * spec.width]
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound is not None:
            container.mux(sound.encode(_tone(spec.seconds)))
            container.mux(sound.encode())
    return buffer.getvalue()


def _tone(seconds: int) -> Any:
    """Return a quiet tone of 375 Hz, a square wave, as one audio frame."""
    import av

    period = struct.pack("<hh", 400, 400) * 64 + struct.pack("<hh", -400, -400) * 64
    frame = av.AudioFrame(format="s16", layout="stereo", samples=seconds * _SAMPLE_RATE)
    frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE, 0, Fraction(1, _SAMPLE_RATE)
    frame.planes[0].update(period * (seconds * _SAMPLE_RATE // 128))
    return frame


def _still(spec: ClipSpec) -> Image:
    """Draw what does not move: picture or color, mode, prompt, size, watermark."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = _picture(spec) or Image.new("RGB", (spec.width, spec.height), _COLORS.get(spec.mode, (48, 48, 48)))
    draw = ImageDraw.Draw(canvas)
    size = max(16, spec.height // 24)
    margin = size
    columns = max(8, int((spec.width - 2 * margin) / (size * 0.56)))
    prompt = spec.prompt[:_SHOWN_CHARACTERS].encode(errors="replace").decode()  # lone surrogates cannot be drawn
    lines = textwrap.wrap(prompt, columns)[:8] or ["(no prompt)"]
    heading = f"{spec.mode}  |  {spec.width}x{spec.height}  {spec.seconds} s"
    style: dict[str, Any] = {"fill": "white", "stroke_width": max(1, size // 12), "stroke_fill": "black"}
    draw.text((margin, margin), heading, font=ImageFont.load_default(size * 0.8), **style)
    draw.multiline_text((margin, margin * 2.5), "\n".join(lines), font=ImageFont.load_default(size), **style)
    if spec.watermark:
        corner = (spec.width - margin, spec.height - margin)
        draw.text(corner, "AI generated", font=ImageFont.load_default(size), anchor="rs", **style)
    return canvas


def _picture(spec: ClipSpec) -> Image | None:
    """Return the given picture, cropped to the clip's shape; None if there is none or it cannot be read."""
    if spec.picture is None:
        return None
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(spec.picture)) as image:
            return ImageOps.fit(image.convert("RGB"), (spec.width, spec.height))
    except (OSError, ValueError, SyntaxError):
        return None


def _strip(spec: ClipSpec, number: int, total: int) -> Image:
    """Draw the strip of one frame, in luma: timecode, frame number, progress bar."""
    from PIL import Image, ImageDraw

    height = max(24, spec.height // 14)
    strip = Image.new("L", (spec.width, height), _BLACK)
    draw = ImageDraw.Draw(strip)
    seconds, frame = divmod(number, FPS)
    text = f"00:{seconds:02}:{frame:02}   frame {number + 1}/{total}"
    draw.text((height // 3, height // 2), text, font=_strip_font(height), anchor="lm", fill=_WHITE)
    draw.rectangle((0, height - 4, spec.width * (number + 1) // total, height), fill=_WHITE)
    return strip


@lru_cache(maxsize=8)
def _strip_font(height: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(height * 0.6)


@lru_cache(maxsize=32)
def last_frame(spec: ClipSpec) -> bytes:
    """Return the last frame of a clip as a PNG file, decoded from the clip itself."""
    import av

    with av.open(io.BytesIO(render(spec)), "r") as container:
        stream = container.streams.video[0]
        container.seek((stream.duration or 1) - 1, stream=stream)
        frame: Any = None
        for frame in container.decode(stream):  # noqa: B007 - the last one is wanted
            pass
    if frame is None:
        raise RuntimeError("the clip has no frame")
    buffer = io.BytesIO()
    frame.to_image().save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Studio:
    """
    Makes clips in worker threads, because the encoder releases the interpreter's lock.

    A clip is made when it is first downloaded, so a generation that nobody downloads costs nothing. Requests for a clip
    that is being made wait for it.
    """

    def __init__(self) -> None:
        self._workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="seedance-emulator-clip")
        self._running: dict[tuple[ClipSpec, bool], asyncio.Future[bytes]] = {}

    async def make(self, spec: ClipSpec, *, still: bool = False) -> bytes:
        """
        Make a clip or its last frame without blocking the event loop.

        :param spec: What the clip shows.
        :param still: Whether the last frame is wanted.
        :returns: The mp4 or PNG file.
        """
        key = (spec, still)
        if key not in self._running:
            maker = last_frame if still else render
            self._running[key] = asyncio.get_running_loop().run_in_executor(self._workers, maker, spec)
        running = self._running[key]
        try:
            return await asyncio.shield(running)
        finally:
            if running.done():
                self._running.pop(key, None)

    def close(self) -> None:
        """Stop after the clips that are being made."""
        self._workers.shutdown(wait=False, cancel_futures=True)
