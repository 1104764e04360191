"""Facts about a video, read from the file itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av


@dataclass(frozen=True)
class VideoFacts:
    """What decoding a whole file found."""

    video_codec: str
    width: int
    height: int
    frames: int
    frame_rate: float
    seconds: float
    audio_codec: str | None

    def __str__(self) -> str:
        sound = f"sound {self.audio_codec}" if self.audio_codec else "no sound"
        return (
            f"{self.video_codec}, {self.width}x{self.height}, {self.frame_rate:g} frames per second, "
            f"{self.seconds:.1f} s ({self.frames} frames), {sound}"
        )


def video_facts(path: Path) -> VideoFacts:
    """
    Decode every frame of a video and return its facts.

    :raises av.error.FFmpegError: if it cannot be played.
    """
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        audio = container.streams.audio[0] if container.streams.audio else None
        return VideoFacts(
            video_codec=video.codec_context.name,
            width=video.codec_context.width,
            height=video.codec_context.height,
            frames=sum(1 for _ in container.decode(video)),
            frame_rate=float(video.average_rate or 0),
            seconds=float((video.duration or 0) * (video.time_base or 0)),
            audio_codec=audio.codec_context.name if audio else None,
        )
