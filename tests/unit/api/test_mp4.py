from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedance.api.mp4 import ImageCheck, Mp4Check
from airflow_provider_seedance.emulator.clips import ClipSpec, render


def box(name: bytes, content: bytes = b"", *, wide: bool = False) -> bytes:
    if wide:
        return struct.pack(">I4sQ", 1, name, len(content) + 16) + content
    return struct.pack(">I4s", len(content) + 8, name) + content


def mvhd(scale: int, length: int, version: int = 0) -> bytes:
    times = struct.pack(">QQIQ" if version else ">IIII", 1, 2, scale, length)
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times + bytes(80))


FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2")
MOOV = box(b"moov", box(b"free") + mvhd(1000, 5040))
MDAT = box(b"mdat", bytes(1000))


def judged(check: Any, data: bytes, cuts: list[int] | None = None) -> float | None:
    """Feed it in pieces."""
    edges = [0, *sorted(cuts or []), len(data)]
    for start, end in itertools.pairwise(edges):
        check.feed(data[start:end])
    seconds: float | None = check.finish()
    return seconds


WHOLE = (
    FTYP + MOOV + MDAT,
    FTYP + MDAT + MOOV,
    FTYP + box(b"free") + box(b"mdat", bytes(5000), wide=True) + MOOV,
    FTYP + MOOV + b"\0\0\0\0mdat" + bytes(77),  # size 0: to the end
    FTYP + box(b"moov", mvhd(90_000, 453_600, version=1)) + MDAT,
)


@pytest.mark.parametrize("whole", WHOLE)
@given(cuts=st.lists(st.integers(0, 1200), max_size=30))
def test_whole_mp4_passes_however_it_is_cut(whole: bytes, cuts: list[int]) -> None:
    assert judged(Mp4Check(), whole, [min(cut, len(whole)) for cut in cuts]) == 5.04


@given(length=st.integers(0, len(WHOLE[0]) - 1))
def test_no_beginning_of_an_mp4_passes(length: int) -> None:
    with pytest.raises(ValueError, match="it "):
        judged(Mp4Check(), WHOLE[0][:length])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"<html>no</html>", "does not begin like an mp4"),
        (b"<h", "does not begin like an mp4"),
        (FTYP + MOOV, "no mdat"),
        (FTYP + MDAT, "no moov"),
        (FTYP + MOOV + MDAT + b"\0\0\0\4", "middle of a box"),
        (FTYP + MOOV + MDAT[:-1], "middle of a box"),
        (FTYP + b"\0\0\0\7moov", "impossible size"),
        (FTYP + b"\0\0\0\1moov" + bytes(7) + b"\x0f", "impossible size"),
    ],
)
def test_what_is_no_whole_mp4_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        judged(Mp4Check(), data)


def to_the_end(chunk_offset: int, *, wide: bool = False, same_size: int = 0) -> bytes:
    """Make an mp4 whose last box has no size, with two chunks at and after ``chunk_offset``, of 3 and 2 samples."""
    offsets = struct.pack(">QQ" if wide else ">II", chunk_offset, chunk_offset + 60)
    sizes = struct.pack(">II", same_size, 5) + (b"" if same_size else struct.pack(">5I", 10, 20, 30, 7, 8))
    stbl = box(
        b"stbl",
        box(b"stsc", bytes(4) + struct.pack(">7I", 2, 1, 3, 1, 2, 2, 1))
        + box(b"stsz", bytes(4) + sizes)
        + box(b"co64" if wide else b"stco", bytes(4) + struct.pack(">I", 2) + offsets),
    )
    trak = box(b"trak", box(b"mdia", box(b"minf", stbl)))
    return FTYP + box(b"moov", mvhd(1000, 5040) + trak) + b"\0\0\0\0mdat"


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("same_size", [0, 7])
def test_last_box_without_a_size_must_reach_the_last_sample(wide: bool, same_size: int) -> None:
    head = to_the_end(len(to_the_end(0, wide=wide, same_size=same_size)), wide=wide, same_size=same_size)
    media = bytes(60 + (2 * same_size if same_size else 15))
    assert judged(Mp4Check(), head + media) == 5.04
    assert judged(Mp4Check(), head + media + bytes(9)) == 5.04
    with pytest.raises(ValueError, match="ends before its last sample"):
        judged(Mp4Check(), head + media[:-1])


def test_video_of_a_real_muxer_reaches_exactly_its_last_sample(tmp_path: Path) -> None:
    clip = io.BytesIO(render(ClipSpec(128, 96, 4, True, "a cat", "text")))
    made = tmp_path / "clip.mp4"
    source: Any = av.open(clip)
    with source, av.open(made, "w", "mp4", {"movflags": "faststart"}) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    whole = made.read_bytes()
    at = whole.index(b"mdat") - 4
    open_ended = whole[:at] + bytes(4) + whole[at + 4 :]
    assert at + int.from_bytes(whole[at : at + 4], "big") == len(whole)
    assert judged(Mp4Check(), open_ended) == judged(Mp4Check(), whole) == pytest.approx(4, abs=0.1)
    with pytest.raises(ValueError, match="ends before its last sample"):
        judged(Mp4Check(), open_ended[:-1])


def test_error_page_is_refused_at_its_first_bytes() -> None:
    with pytest.raises(ValueError, match="does not begin"):
        Mp4Check().feed(b"<html><body>")


@pytest.mark.parametrize("moov", [b"", box(b"trak"), mvhd(0, 5), mvhd(1000, 0), b"\0\0\0\3trak", mvhd(9, 9)[:20]])
def test_mp4_that_does_not_say_its_duration_has_none(moov: bytes) -> None:
    assert judged(Mp4Check(), FTYP + box(b"moov", moov) + MDAT) is None


PNG = b"\x89PNG\r\n\x1a\n" + bytes(200) + b"\0\0\0\0IEND\xaeB`\x82"


@given(cuts=st.lists(st.integers(0, len(PNG)), max_size=20))
def test_whole_png_passes_however_it_is_cut(cuts: list[int]) -> None:
    check = ImageCheck()
    assert judged(check, PNG, cuts) is None
    assert check.content_type == "image/png"


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "is empty"), (b"<html>" * 20, "does not begin"), (b"<html>", "does not begin"), (PNG[:-1], "end mark")],
)
def test_what_is_no_whole_image_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        judged(ImageCheck(), data)


def test_other_image_is_taken_as_what_it_is() -> None:
    check = ImageCheck()
    judged(check, b"\xff\xd8\xff\xe0" + bytes(100))
    assert check.content_type == "image/jpeg"
