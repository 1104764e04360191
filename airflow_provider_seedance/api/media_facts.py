"""What a media file's head tells, held against the service's limits (contract 1.2, 4)."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.media import check_format, check_size
from airflow_provider_seedance.exceptions import SeedanceRequestError


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """
    What a look at an image's head tells.

    :param width: Pixels.
    :param height: Pixels.
    :param bytes: Size of the file.
    :param format: As :func:`sniff_format` names it.
    """

    width: int
    height: int
    bytes: int
    format: str


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """
    What a look at a clip's head tells.

    :param seconds: Playing time.
    :param bytes: Size of the file.
    :param format: As :func:`sniff_format` names it.
    """

    seconds: float
    bytes: int
    format: str


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """
    What a check of a video needs to know, read from its head.

    :param width: Pixels.
    :param height: Pixels.
    :param seconds: Playing time.
    :param fps: Frames per second; None where the file does not say.
    """

    width: int
    height: int
    seconds: float
    fps: float | None


def check_image(facts: ImageFacts, *, item: str) -> None:
    """
    Check an image against the service's limits.

    :param facts: What was read from its head.
    :param item: Its name in messages.
    :raises SeedanceRequestError: Format, size, sides or ratio out of bounds (contract 1.2).
    """
    check_format(facts.format, "image", item=item)
    check_size(facts.bytes, "image", item=item)
    size = f"{facts.width}x{facts.height} pixels"
    low, high = limits.MIN_IMAGE_SIDE, limits.MAX_IMAGE_SIDE
    if not (low <= facts.width <= high and low <= facts.height <= high):
        raise SeedanceRequestError(f"{item} has {size}; each side must be {low} to {high}. Scale it.", field=item)
    ratio = facts.width / facts.height
    if not limits.MIN_IMAGE_RATIO <= ratio <= limits.MAX_IMAGE_RATIO:
        raise SeedanceRequestError(
            f"{item} has {size}, a width of {ratio:.3f} times its height; "
            f"{limits.MIN_IMAGE_RATIO} to {limits.MAX_IMAGE_RATIO} is allowed. Crop it.",
            field=item,
        )


def check_audio(facts: AudioFacts, *, item: str) -> None:
    """
    Check a clip against the service's limits.

    :param facts: What was read from its head.
    :param item: Its name in messages.
    :raises SeedanceRequestError: Format, size or length out of bounds (contract 1.2, 4).
    """
    check_format(facts.format, "audio", item=item)
    check_size(facts.bytes, "audio", item=item)
    low, high = limits.MIN_AUDIO_SECONDS, limits.MAX_AUDIO_SECONDS
    if not low <= facts.seconds <= high + limits.AUDIO_TOLERANCE_SECONDS:
        raise SeedanceRequestError(
            f"{item} plays {facts.seconds:.1f} s; a clip must have {low:g} to {high:g} s. Cut it.", field=item
        )


def check_audio_total(seconds: float, *, item: str) -> None:
    """
    Check the length of all clips together.

    :param seconds: Their sum.
    :param item: The clip that brought the sum there.
    :raises SeedanceRequestError: They play longer than 15 s together (contract 1.2).
    """
    if seconds > limits.MAX_AUDIO_SECONDS + limits.AUDIO_TOLERANCE_SECONDS:
        raise SeedanceRequestError(
            f"With {item} the clips play {seconds:.1f} s together; {limits.MAX_AUDIO_SECONDS:g} s is the most. "
            "Cut or leave out some.",
            field=item,
        )


def check_video(facts: VideoFacts, *, item: str) -> str | None:
    """
    Check a video that is to become an asset.

    :param facts: What was read from its head.
    :param item: Its name in messages.
    :return: A warning where the service may refuse it, else None.
    :raises SeedanceRequestError: Sides, pixels, length or frame rate out of bounds (contract 1.2, 4).
    """
    low, high = limits.MIN_IMAGE_SIDE, limits.MAX_IMAGE_SIDE
    size = f"{facts.width}x{facts.height} pixels"
    if not (low <= facts.width <= high and low <= facts.height <= high):
        raise SeedanceRequestError(f"{item} has {size}; each side must be {low} to {high}. Scale it.", field=item)
    if not limits.MIN_IMAGE_RATIO <= facts.width / facts.height <= limits.MAX_IMAGE_RATIO:
        raise SeedanceRequestError(
            f"{item} has {size}; width to height must be {limits.MIN_IMAGE_RATIO} to {limits.MAX_IMAGE_RATIO}: crop.",
            field=item,
        )
    pixels = facts.width * facts.height
    if not limits.MIN_VIDEO_PIXELS <= pixels <= limits.MAX_VIDEO_PIXELS:
        raise SeedanceRequestError(
            f"{item} has {size}, {pixels} a frame; {limits.MIN_VIDEO_PIXELS} to {limits.MAX_VIDEO_PIXELS} pass. "
            "Scale it, to 720p for example.",
            field=item,
        )
    if not limits.MIN_VIDEO_SECONDS <= facts.seconds <= limits.MAX_VIDEO_SECONDS + limits.AUDIO_TOLERANCE_SECONDS:
        raise SeedanceRequestError(
            f"{item} plays {facts.seconds:.1f} s; a video must have {limits.MIN_VIDEO_SECONDS:g} to "
            f"{limits.MAX_VIDEO_SECONDS:g} s. Cut it.",
            field=item,
        )
    if facts.fps is not None and not limits.MIN_VIDEO_FPS - 0.1 <= facts.fps <= limits.MAX_VIDEO_FPS + 0.1:
        raise SeedanceRequestError(
            f"{item} has {facts.fps:.1f} frames per second; {limits.MIN_VIDEO_FPS} to {limits.MAX_VIDEO_FPS} are "
            "allowed. Convert it.",
            field=item,
        )
    if pixels > limits.SURE_VIDEO_PIXELS:
        return f"{item} has {size}: some versions of the service take 480p and 720p only."
    return None
