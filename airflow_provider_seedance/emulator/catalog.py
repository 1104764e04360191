"""What the service offers: models (contract.md#models) and frame sizes (contract.md#output-pixels)."""

from __future__ import annotations

from dataclasses import dataclass

#: Ratio word -> width / height.
RATIOS = {"16:9": 16 / 9, "4:3": 4 / 3, "1:1": 1.0, "3:4": 3 / 4, "9:16": 9 / 16, "21:9": 21 / 9}

#: Frame sizes in pixels, by resolution; each row is in the order of RATIOS. The first three are the vendor's table. The
#: vendor prints none for 2k: that row is a guess, the 1080p row enlarged by 4/3 and rounded to multiples of 8.
_ROWS = {
    "480p": ((864, 496), (752, 560), (640, 640), (560, 752), (496, 864), (992, 432)),
    "720p": ((1280, 720), (1112, 834), (960, 960), (834, 1112), (720, 1280), (1470, 630)),
    "1080p": ((1920, 1080), (1664, 1248), (1440, 1440), (1248, 1664), (1080, 1920), (2208, 944)),
    "2k": ((2560, 1440), (2216, 1664), (1920, 1920), (1664, 2216), (1440, 2560), (2944, 1256)),
}
#: Frame size in pixels by resolution and ratio.
PIXELS = {resolution: dict(zip(RATIOS, row, strict=True)) for resolution, row in _ROWS.items()}

#: The resolution that the super-resolution model enlarges from. A guess: one row lower.
UPSTREAM_RESOLUTION = {"720p": "480p", "1080p": "720p", "2k": "1080p"}

#: Actions of the asset routes (contract.md#assets). Others exist upstream; no page shows that this service has them.
ASSET_ACTIONS = ("CreateAssetGroup", "ListAssetGroups", "CreateAsset", "GetAsset", "ListAssets", "DeleteAsset")

#: Frames per second of every clip.
FPS = 24

#: Seconds of the shortest and the longest clip.
SHORTEST, LONGEST = 4, 15


@dataclass(frozen=True)
class Model:
    """
    A model of the service.

    :param resolutions: What a request may ask for.
    :param default_resolution: What a request without ``resolution`` gets; None if the field must be sent.
    :param super_resolution: Whether the clip is enlarged from a smaller one.
    """

    resolutions: tuple[str, ...]
    default_resolution: str | None
    super_resolution: bool = False


MODELS = {
    "seedance-2.0": Model(("480p", "720p", "1080p"), "720p"),
    "seedance-2.0-ultra": Model(("720p", "1080p", "2k"), None, super_resolution=True),
}


def nearest_ratio(width: int, height: int) -> str:
    """Return the ratio word nearest to that of a picture of this size in pixels."""
    best = "1:1"
    for word, ratio in RATIOS.items():
        if abs(ratio * height / width - 1) < abs(RATIOS[best] * height / width - 1):
            best = word
    return best


def tokens(width: int, height: int, seconds: int) -> int:
    """Return the tokens billed for a clip of this size and length (contract.md#tokens-and-price)."""
    return width * height * (FPS * seconds + 1) // 1024
