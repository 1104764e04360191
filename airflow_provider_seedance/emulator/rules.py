"""What the service takes and what it refuses at create: pure functions from a JSON body to an order or a refusal.

Sections 1 and 3 of the contract and the vendor's page, read independently of the client. Where the contract leaves open
whether the service refuses something (a placeholder past the media given, unknown extra fields), it is accepted here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_seedance.emulator import catalogue, media
from airflow_provider_seedance.emulator.envelopes import gateway_error, openai_error, upstream_error

_TYPES = ("text", "image_url", "video_url", "audio_url")  # in the order that `content` must keep
_ROLES = {
    "image_url": ("first_frame", "last_frame", "reference_image"),
    "video_url": ("reference_video",),
    "audio_url": ("reference_audio",),
}
_MOST = {"image_url": 9, "video_url": 3, "audio_url": 3}
_AUDIO_SECONDS_TOGETHER = 15.2
_ASSET = re.compile(r"asset://[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

#: JSON types of the fields that the gateway decodes; null means absent
_FIELD_TYPES: dict[str, type] = {
    "resolution": str,
    "ratio": str,
    "duration": int,
    "generate_audio": bool,
    "watermark": bool,
    "return_last_frame": bool,
    "camera_fixed": bool,
    "draft": bool,
    "seed": int,
    "priority": int,
    "execution_expires_after": int,
    "service_tier": str,
    "safety_identifier": str,
    "callback_url": str,
    "output_format": str,
    "omni_reference_task_type": str,
}


@dataclass(frozen=True)
class Stored:
    """What is known of an asset that a request names.

    :param image: its bytes, where it is an image and the emulator has them
    :param size: its width and height in pixels
    :param seconds: how long it plays
    """

    image: bytes | None = None
    size: tuple[int, int] | None = None
    seconds: float = 0.0


#: finds what an asset's id and a content type such as ``image_url`` name, or refuses it
AssetLookup = Callable[[str, str], Stored]


def any_asset(asset_id: str, kind: str) -> Stored:
    """Take every asset, and know nothing of it."""
    return Stored()


@dataclass(frozen=True)
class Item:
    """One checked item of ``content``.

    :param index: zero-based position in the request
    :param role: its role, ``first_frame`` where a lone image had none
    :param image: bytes and size of an image given as a data URI or asset
    :param seconds: length of audio given as a data URI or asset
    """

    index: int
    type: str
    role: str | None
    url: str = ""
    image: bytes | None = None
    size: tuple[int, int] | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Order:
    """A request that the service accepts, with every default filled in.

    :param ratio: never ``adaptive``: the ratio of the first picture where it is known, else 16:9
    :param mode: ``text``, ``first frame``, ``first and last frame`` or ``reference``
    :param picture: the bytes of the first frame or first reference image, where it came as a data URI or asset
    """

    model: str
    prompt: str
    mode: str
    resolution: str
    ratio: str
    duration: int
    generate_audio: bool
    watermark: bool
    return_last_frame: bool
    web_search: bool
    seed: int | None
    picture: bytes | None
    videos: int
    audios: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the clip in pixels."""
        return catalogue.PIXELS[self.resolution][self.ratio]


def check(body: object, moderated_words: Collection[str] = (), assets: AssetLookup = any_asset) -> Order:
    """Check the JSON body of a create request.

    :param body: the decoded JSON
    :param moderated_words: a prompt that contains one of these is refused as the input moderation would
    :param assets: finds the assets that it names; by default every well-formed id is taken
    :returns: the order
    :raises Refusal: with the status and body that the service answers
    """
    if not isinstance(body, dict):
        raise gateway_error(400, "invalid_json", "json: the request body must be an object")
    model = _model(body)
    _field_types(body)
    prompt, items = _content(body, assets)
    mode = _mode(items)
    web_search = _web_search(body, items)
    resolution, ratio, duration = _output(body, model)
    _minor_fields(body)
    if any(word in prompt for word in moderated_words):
        raise upstream_error(
            "InputTextSensitiveContentDetected",
            "The request failed because the input text 'content[0]' may contain sensitive information.",
        )
    first = next((item for item in items if item.type == "image_url"), None)
    if ratio == "adaptive":
        ratio = catalogue.nearest_ratio(*first.size) if first is not None and first.size else "16:9"
    seed = body.get("seed")
    return Order(
        model=model,
        prompt=prompt,
        mode=mode,
        resolution=resolution,
        ratio=ratio,
        duration=duration,
        generate_audio=_default(body, "generate_audio", True),
        watermark=_default(body, "watermark", False),
        return_last_frame=_default(body, "return_last_frame", False),
        web_search=web_search,
        seed=seed if seed not in (None, -1) else None,
        picture=first.image if first is not None else None,
        videos=sum(item.type == "video_url" for item in items),
        audios=sum(item.type == "audio_url" for item in items),
    )


def _default(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    return default if value is None else bool(value)


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if model is None or model == "":
        raise gateway_error(400, "missing_model", "model name is required")
    if not isinstance(model, str):
        raise _wrong_type("model", "string")
    if model not in catalogue.MODELS:
        message = f"No available channel for model {model} under group default (distributor)"
        raise openai_error(503, message, code="model_not_found")
    return model


def _wrong_type(name: str, wanted: str) -> Exception:
    return gateway_error(400, "invalid_request", f"json: field .{name} must be of type {wanted}")


def _field_types(body: Mapping[str, Any]) -> None:
    for name, wanted in _FIELD_TYPES.items():
        value = body.get(name)
        # bool is an int in Python, but not in JSON
        if value is not None and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
            raise _wrong_type(name, {str: "string", int: "integer", bool: "boolean"}[wanted])


def _content(body: Mapping[str, Any], assets: AssetLookup) -> tuple[str, list[Item]]:
    content = body.get("content")
    if content is None or content == []:
        raise gateway_error(400, "invalid_request", "content is required")
    if not isinstance(content, list):
        raise _wrong_type("content", "array")
    prompt: str | None = None
    items: list[Item] = []
    reached = 0
    for index, raw in enumerate(content):
        kind = _kind(raw, index)
        if _TYPES.index(kind) < reached:
            reason = "the order of content must be text, image_url, video_url, audio_url"
            raise media.invalid(f"content[{index}]", reason)
        reached = _TYPES.index(kind)
        if kind != "text":
            items.append(_media_item(raw, kind, index, assets))
        elif prompt is not None:
            raise media.invalid(f"content[{index}]", "only one text item is allowed")
        else:
            prompt = _text(raw, index)
    return prompt or "", _with_roles(items)


def _kind(raw: object, index: int) -> str:
    if not isinstance(raw, dict):
        raise _wrong_type(f"content[{index}]", "object")
    kind = raw.get("type")
    if kind is None:
        raise upstream_error("MissingParameter", f"The parameter 'content[{index}].type' is missing.")
    if kind not in _TYPES:
        raise media.invalid(f"content[{index}].type", f"must be one of {', '.join(_TYPES)}")
    return str(kind)


def _text(raw: Mapping[str, Any], index: int) -> str:
    text = raw.get("text")
    if text is None:
        raise upstream_error("MissingParameter", f"The parameter 'content[{index}].text' is missing.")
    if not isinstance(text, str) or not text.strip():
        raise media.invalid(f"content[{index}].text", "must be a string that is not empty")
    if raw.get("role") is not None:
        raise media.invalid(f"content[{index}].role", "a text item has no role")
    return text


def _media_item(raw: Mapping[str, Any], kind: str, index: int, assets: AssetLookup) -> Item:
    role = raw.get("role")
    if role is not None and role not in _ROLES[kind]:
        raise media.invalid(f"content[{index}].role", f"must be one of {', '.join(_ROLES[kind])}")
    where = f"content[{index}].{kind}.url"
    holder = raw.get(kind)
    url = holder.get("url") if isinstance(holder, dict) else None
    if url is None:
        raise upstream_error("MissingParameter", f"The parameter '{where}' is missing.")
    if not isinstance(url, str):
        raise media.invalid(where, "must be a string")
    if url[:5].lower() != "data:":
        _reference(url, where)
        stored = assets(url[8:], kind) if url.startswith("asset://") else Stored()
        return Item(index, kind, role, url, stored.image, stored.size, stored.seconds)
    if kind == "video_url":
        raise media.invalid(where, "video is taken by URL or asset only, not as Base64")
    if not url.startswith("data:"):
        raise media.invalid(where, "the data URI must be in lower case")
    if kind == "image_url":
        data, size = media.read_image(url, where)
        return Item(index, kind, role, image=data, size=size)
    return Item(index, kind, role, seconds=media.read_audio(url, where))


def _reference(url: str, where: str) -> None:
    if url[:8].lower() == "asset://":
        if not _ASSET.fullmatch(url):
            raise media.invalid(where, "must have the form asset://<id>", "InvalidParameter.AssetID")
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", url)
    except ValueError:
        good = False
    if not good:
        raise media.invalid(where, "must be an http(s) URL, a data URI or asset://<id>")


def _with_roles(items: Sequence[Item]) -> list[Item]:
    """Give a lone image without a role the role ``first_frame``; every other item must name its own."""
    if len(items) == 1 and items[0].type == "image_url" and items[0].role is None:
        item = items[0]
        return [Item(item.index, item.type, "first_frame", item.url, item.image, item.size)]
    for item in items:
        if item.role is None:
            raise upstream_error("MissingParameter", f"The parameter 'content[{item.index}].role' is missing.")
    return list(items)


def _mode(items: Sequence[Item]) -> str:
    if not items:
        return "text"
    for kind, most in _MOST.items():
        of_kind = [item for item in items if item.type == kind]
        if len(of_kind) > most:
            raise media.invalid(f"content[{of_kind[most].index}]", f"at most {most} {kind} items are allowed")
    roles = [item.role for item in items]
    frames = [role for role in roles if role in ("first_frame", "last_frame")]
    if not frames:
        return _reference_mode(items)
    if len(frames) < len(roles):
        odd = next(item for item in items if item.role not in ("first_frame", "last_frame"))
        reason = "first frame, first and last frame, and reference are modes that cannot be combined"
        raise media.invalid(f"content[{odd.index}].role", reason)
    if "first_frame" not in frames:
        raise media.invalid(f"content[{items[0].index}].role", "a last_frame needs a first_frame")
    if len(set(frames)) < len(frames):
        reason = "at most one first_frame and one last_frame are allowed"
        raise media.invalid(f"content[{items[1].index}].role", reason)
    return "first frame" if len(frames) == 1 else "first and last frame"


def _reference_mode(items: Sequence[Item]) -> str:
    if all(item.type == "audio_url" for item in items):
        reason = "audio needs at least one image or video beside it"
        raise media.invalid(f"content[{items[0].index}]", reason)
    if sum(item.seconds for item in items) > _AUDIO_SECONDS_TOGETHER:
        last = items[-1]
        raise media.invalid(f"content[{last.index}]", "all audio together must not be longer than 15 s")
    return "reference"


def _web_search(body: Mapping[str, Any], items: Sequence[Item]) -> bool:
    tools = body.get("tools")
    if tools is None or tools == []:
        return False
    if not isinstance(tools, list):
        raise _wrong_type("tools", "array")
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict) or tool.get("type") != "web_search" or index > 0:
            raise media.invalid(f"tools[{index}]", 'tools must be [{"type": "web_search"}]')
    if items:
        raise media.invalid("tools[0]", "web_search is for text-to-video only")
    return True


def _output(body: Mapping[str, Any], model: str) -> tuple[str, str, int]:
    offer = catalogue.MODELS[model]
    resolution = body.get("resolution")
    if resolution is None:
        resolution = offer.default_resolution
    if resolution is None:
        raise upstream_error("MissingParameter", f"The parameter 'resolution' is missing, {model} needs it.")
    if resolution not in offer.resolutions:
        raise media.invalid("resolution", f"{model} takes {', '.join(offer.resolutions)}")
    ratio = body.get("ratio")
    ratio = "adaptive" if ratio is None else str(ratio)
    if ratio != "adaptive" and ratio not in catalogue.RATIOS:
        raise media.invalid("ratio", f"must be one of {', '.join(catalogue.RATIOS)}, adaptive")
    duration = body.get("duration")
    duration = 5 if duration is None else int(duration)
    if not catalogue.SHORTEST <= duration <= catalogue.LONGEST:
        raise media.invalid("duration", f"must be {catalogue.SHORTEST} to {catalogue.LONGEST} seconds")
    return str(resolution), ratio, duration


def _minor_fields(body: Mapping[str, Any]) -> None:
    seed = body.get("seed")
    if seed is not None and seed < -1:
        raise media.invalid("seed", "must be -1 or a non-negative integer")
    expires = body.get("execution_expires_after")
    if expires is not None and not 60 <= expires <= 259_200:  # the wider reading of two that disagree
        raise media.invalid("execution_expires_after", "must be 60 to 259200 seconds")
    if len(body.get("safety_identifier") or "") > 64:
        raise media.invalid("safety_identifier", "must not be longer than 64 characters")
    if body.get("output_format") not in (None, "mp4"):
        raise media.invalid("output_format", "must be mp4")
    if body.get("omni_reference_task_type") not in (None, "auto", "reference", "edit", "extend"):
        raise media.invalid("omni_reference_task_type", "must be auto, reference, edit or extend")
