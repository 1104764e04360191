"""What the service offers: models, resolutions, ratios and the pixels of each pair (contract 1.3 and 1.4)."""

from __future__ import annotations

from dataclasses import dataclass

#: width / height of each ratio word, used to find the ratio nearest to a picture
RATIOS = {"16:9": 16 / 9, "4:3": 4 / 3, "1:1": 1.0, "3:4": 3 / 4, "9:16": 9 / 16, "21:9": 21 / 9}

#: pixels by resolution and ratio; the first three rows are the vendor's table (contract 1.3). The vendor prints
#: none for ``2k``: that row is a guess, the 1080p row enlarged by 4/3 and rounded to multiples of 8.
PIXELS: dict[str, dict[str, tuple[int, int]]] = {
    "480p": {
        "16:9": (864, 496),
        "4:3": (752, 560),
        "1:1": (640, 640),
        "3:4": (560, 752),
        "9:16": (496, 864),
        "21:9": (992, 432),
    },
    "720p": {
        "16:9": (1280, 720),
        "4:3": (1112, 834),
        "1:1": (960, 960),
        "3:4": (834, 1112),
        "9:16": (720, 1280),
        "21:9": (1470, 630),
    },
    "1080p": {
        "16:9": (1920, 1080),
        "4:3": (1664, 1248),
        "1:1": (1440, 1440),
        "3:4": (1248, 1664),
        "9:16": (1080, 1920),
        "21:9": (2208, 944),
    },
    "2k": {
        "16:9": (2560, 1440),
        "4:3": (2216, 1664),
        "1:1": (1920, 1920),
        "3:4": (1664, 2216),
        "9:16": (1440, 2560),
        "21:9": (2944, 1256),
    },
}

#: the resolution that the super-resolution product enlarges from (a guess: one row lower)
UPSTREAM_RESOLUTION = {"720p": "480p", "1080p": "720p", "2k": "1080p"}

#: actions of the asset routes (contract 4)
ASSET_ACTIONS = (
    "CreateAssetGroup",
    "GetAssetGroup",
    "ListAssetGroups",
    "UpdateAssetGroup",
    "DeleteAssetGroup",
    "CreateAsset",
    "GetAsset",
    "ListAssets",
    "UpdateAsset",
    "DeleteAsset",
)

#: frames per second of every clip
FPS = 24

#: seconds
SHORTEST, LONGEST = 4, 15


@dataclass(frozen=True)
class Model:
    """A model of the service.

    :param resolutions: what may be asked for
    :param default_resolution: what an absent ``resolution`` means; None where it must be sent
    :param super_resolution: whether the clip is enlarged from a smaller one
    """

    resolutions: tuple[str, ...]
    default_resolution: str | None
    super_resolution: bool = False


MODELS = {
    "seedance-2.0": Model(("480p", "720p", "1080p"), "720p"),
    "seedance-2.0-ultra": Model(("720p", "1080p", "2k"), None, super_resolution=True),
}


def nearest_ratio(width: int, height: int) -> str:
    """Return the ratio word nearest to a picture's own."""
    return min(RATIOS, key=lambda word: abs(RATIOS[word] * height / width - 1))


def tokens(width: int, height: int, seconds: int) -> int:
    """Tokens billed for a clip of this size and length (contract 5)."""
    return width * height * (FPS * seconds + 1) // 1024
