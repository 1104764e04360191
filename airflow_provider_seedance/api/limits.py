"""
What the service takes, as tables: one place to extend when it offers another model, resolution or ratio.

The numbers are the vendor's (contract.md#create-request to contract.md#models, contract.md#assets). Sizes in MB are
read as MiB; durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIB = 1024 * 1024

#: Seconds between two status checks, as the vendor recommends (contract.md#polling-and-link-life).
DEFAULT_POLL_INTERVAL = 15.0
#: The same for an asset, which is processed in 6 to 20 seconds (contract.md#create-asset).
DEFAULT_ASSET_POLL_INTERVAL = 5.0

DEFAULT_MODEL = "seedance-2.0"
DEFAULT_RESOLUTION = "720p"
DEFAULT_DURATION = 5

#: The ratio that follows the input; without media to follow, the service chooses.
ADAPTIVE = "adaptive"
_SHAPES = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9")
RATIOS = (*_SHAPES, ADAPTIVE)


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """
    What one model offers.

    :param resolutions: Names as the service spells them.
    :param min_duration: Seconds, as ``max_duration``.
    :param ratios: Width to height, ``adaptive`` included.
    """

    resolutions: tuple[str, ...]
    min_duration: int = 4
    max_duration: int = 15
    ratios: tuple[str, ...] = RATIOS


#: Models that Starrise documents (contract.md#models). Any other name is passed on, unchecked and with a warning.
MODELS: Mapping[str, ModelLimits] = {
    "seedance-2.0": ModelLimits(("480p", "720p", "1080p")),
    "seedance-2.0-ultra": ModelLimits(("720p", "1080p", "2k")),
}

#: What at least one known model takes: all that can be checked while the connection's model is not known yet.
ANY_MODEL = ModelLimits(
    resolutions=tuple(dict.fromkeys(name for model in MODELS.values() for name in model.resolutions)),
    min_duration=min(model.min_duration for model in MODELS.values()),
    max_duration=max(model.max_duration for model in MODELS.values()),
    ratios=tuple(dict.fromkeys(ratio for model in MODELS.values() for ratio in model.ratios)),
)

#: Width and height of the video in pixels, in the order of ``_SHAPES`` (contract.md#output-pixels).
PIXELS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    resolution: dict(zip(_SHAPES, sizes, strict=True))
    for resolution, sizes in {
        "480p": ((864, 496), (752, 560), (640, 640), (560, 752), (496, 864), (992, 432)),
        "720p": ((1280, 720), (1112, 834), (960, 960), (834, 1112), (720, 1280), (1470, 630)),
        "1080p": ((1920, 1080), (1664, 1248), (1440, 1440), (1248, 1664), (1080, 1920), (2208, 944)),
    }.items()
}

#: Frames per second of every video made (contract.md#output-pixels).
FPS = 24

#: How many items of a kind one request may have (contract.md#content-rules).
MAX_ITEMS: Mapping[str, int] = {"image": 9, "video": 3, "audio": 3}

#: Formats by kind, as detected from a file's own bytes (contract.md#content-rules).
FORMATS: Mapping[str, tuple[str, ...]] = {
    "image": ("jpeg", "png", "webp", "bmp", "tiff", "gif", "heic", "heif"),
    "video": ("mp4", "mov"),
    "audio": ("wav", "mp3"),
}

#: Size in bytes that a file must stay under (contract.md#content-rules, contract.md#assets).
MAX_BYTES: Mapping[str, int] = {"image": 30 * MIB, "video": 50 * MIB, "audio": 15 * MIB}

MIN_IMAGE_SIDE = 300
MAX_IMAGE_SIDE = 6000
#: Width divided by height.
MIN_IMAGE_RATIO = 0.4
MAX_IMAGE_RATIO = 2.5

MIN_VIDEO_SECONDS = 2.0
MAX_VIDEO_SECONDS = 15.0
MIN_VIDEO_FPS = 24
MAX_VIDEO_FPS = 60
#: Pixels of a frame. The sources disagree: below the first and above the last a video is certainly refused, and between
#: the second and the last it may be (contract.md#open-questions).
MIN_VIDEO_PIXELS = 409_600
SURE_VIDEO_PIXELS = 927_408
MAX_VIDEO_PIXELS = 8_295_044

MIN_AUDIO_SECONDS = 2.0
#: For one clip, and for all clips together.
MAX_AUDIO_SECONDS = 15.0
#: The service was seen to refuse only above 15.2 s: room for the padding that encoders add (contract.md#content-rules).
AUDIO_TOLERANCE_SECONDS = 0.2

#: Bytes of JSON that one request must stay under, Base64 included (contract.md#common-rules).
MAX_BODY_BYTES = 64 * MIB

#: The vendor's advice on the prompt's length (contract.md#create-request); longer ones are sent with a warning.
MAX_PROMPT_WORDS = 1000
MAX_PROMPT_CHINESE = 500


def limits_of(model: str | None) -> ModelLimits | None:
    """
    Look up what a model offers.

    :param model: Its name, or None while the connection's default is not known.
    :returns: Its limits; for None, what any known model takes; None for a name that the table does not have.
    """
    return ANY_MODEL if model is None else MODELS.get(model)


def output_pixels(model: str, resolution: str, ratio: str) -> tuple[int, int] | None:
    """
    Look up the pixel size of a video before it is made.

    :param ratio: ``adaptive`` counts as 16:9, since the media's own ratio is not known here.
    :returns: Width and height, or None if the vendor states none (2k, unknown models).
    """
    if model not in MODELS:
        return None
    return PIXELS.get(resolution, {}).get("16:9" if ratio == ADAPTIVE else ratio)
