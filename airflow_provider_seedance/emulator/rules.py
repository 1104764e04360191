"""
What the service accepts when a generation is created: pure functions from a JSON body to an order or a refusal.

An independent reading of contract.md#create-request and contract.md#content-rules. If those leave open whether the
service refuses something, such as a placeholder beyond the given media or an unknown field, it is accepted here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_seedance.emulator import catalog, media
from airflow_provider_seedance.emulator.envelopes import Refusal, gateway_error, invalid, openai_error, upstream_error
from airflow_provider_seedance.emulator.media import NO_MEDIUM, Medium

#: Types of items, in the order that ``content`` must keep.
_TYPES = ("text", "image_url", "video_url", "audio_url")
_ROLES = {
    "image_url": ("first_frame", "last_frame", "reference_image"),
    "video_url": ("reference_video",),
    "audio_url": ("reference_audio",),
}
_MOST = {"image_url": 9, "video_url": 3, "audio_url": 3}
_AUDIO_SECONDS_TOGETHER = 15.2
_ASSET = re.compile(r"asset://[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

#: Fields that the gateway decodes, by the JSON type that it needs; null means absent.
_FIELDS: dict[tuple[str, type], tuple[str, ...]] = {
    ("string", str): (
        *("resolution", "ratio", "service_tier", "safety_identifier"),
        *("callback_url", "output_format", "omni_reference_task_type"),
    ),
    ("integer", int): ("duration", "seed", "priority", "execution_expires_after"),
    ("boolean", bool): ("generate_audio", "watermark", "return_last_frame", "camera_fixed", "draft"),
}


class AnyAsset:
    """Accepts every asset id and knows nothing about the assets."""

    def find(self, asset_id: str, kind: str) -> Medium:
        """
        Find the asset that a request names.

        :param asset_id: Its id, without ``asset://``.
        :param kind: ``image_url``, ``video_url`` or ``audio_url``.
        :returns: What a generation uses of it.
        :raises Refusal: If it cannot be used.
        """
        return NO_MEDIUM


@dataclass(frozen=True)
class Item:
    """
    One checked media item of ``content``.

    :param index: Zero-based position in the request.
    :param role: None for a lone image without a role, which then is the first frame.
    :param medium: What is known from the data URI or the asset.
    """

    index: int
    type: str
    role: str | None
    medium: Medium


@dataclass(frozen=True)
class Order:
    """
    A request that the service accepts, with every default filled in.

    :param mode: ``text``, ``first frame``, ``first and last frame`` or ``reference``.
    :param ratio: Never ``adaptive``: the ratio of the first picture if that is known, else 16:9.
    :param picture: Bytes of the first image, if they are known.
    :param videos: Number of reference videos.
    :param audios: Number of reference audio clips.
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
        return catalog.PIXELS[self.resolution][self.ratio]


_ANY_ASSET = AnyAsset()


def check(body: object, moderated_words: Collection[str] = (), assets: AnyAsset = _ANY_ASSET) -> Order:
    """
    Check the JSON body of a create request.

    :param body: The decoded JSON.
    :param moderated_words: A prompt that contains one of these is refused, as input moderation would.
    :param assets: Finds the assets that the request names. By default, every well-formed id is accepted.
    :returns: The order.
    :raises Refusal: With the status and body of the service's response.
    """
    if not isinstance(body, dict):
        raise gateway_error(400, "invalid_json", "json: the request body must be an object")
    body = {name: value for name, value in body.items() if value is not None}  # null means absent
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
    first = next((item.medium for item in items if item.type == "image_url"), NO_MEDIUM)
    if ratio == "adaptive":
        ratio = catalog.nearest_ratio(first.width, first.height) if first.width else "16:9"
    seed = body.get("seed", -1)
    return Order(
        model=model,
        prompt=prompt,
        mode=mode,
        resolution=resolution,
        ratio=ratio,
        duration=duration,
        generate_audio=body.get("generate_audio", True),
        watermark=body.get("watermark", False),
        return_last_frame=body.get("return_last_frame", False),
        web_search=web_search,
        seed=None if seed == -1 else seed,
        picture=first.data,
        videos=sum(item.type == "video_url" for item in items),
        audios=sum(item.type == "audio_url" for item in items),
    )


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model", "")
    if model == "":
        raise gateway_error(400, "missing_model", "model name is required")
    if not isinstance(model, str):
        raise _wrong_type("model", "string")
    if model not in catalog.MODELS:
        message = f"No available channel for model {model} under group default (distributor)"
        raise openai_error(503, message, code="model_not_found")
    return model


def _wrong_type(name: str, wanted: str) -> Refusal:
    return gateway_error(400, "invalid_request", f"json: field .{name} must be of type {wanted}")


def _field_types(body: Mapping[str, Any]) -> None:
    for (word, wanted), names in _FIELDS.items():
        for name in names:
            # not isinstance: bool is an int in Python, but not in JSON
            if name in body and type(body[name]) is not wanted:
                raise _wrong_type(name, word)


def _content(body: Mapping[str, Any], assets: AnyAsset) -> tuple[str, list[Item]]:
    content = body.get("content", [])
    if content == []:
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
            raise invalid(f"content[{index}]", reason)
        reached = _TYPES.index(kind)
        if kind != "text":
            items.append(_media_item(raw, kind, index, assets))
        elif prompt is not None:
            raise invalid(f"content[{index}]", "only one text item is allowed")
        else:
            prompt = _text(raw, index)
    lone_image = len(items) == 1 and items[0].type == "image_url"  # the first frame, even without a role
    for item in items:
        if item.role is None and not lone_image:
            raise upstream_error("MissingParameter", f"The parameter 'content[{item.index}].role' is missing.")
    return prompt or "", items


def _kind(raw: object, index: int) -> str:
    if not isinstance(raw, dict):
        raise _wrong_type(f"content[{index}]", "object")
    kind = raw.get("type")
    if kind is None:
        raise upstream_error("MissingParameter", f"The parameter 'content[{index}].type' is missing.")
    if kind not in _TYPES:
        raise invalid(f"content[{index}].type", f"must be one of {', '.join(_TYPES)}")
    return str(kind)


def _text(raw: Mapping[str, Any], index: int) -> str:
    text = raw.get("text")
    if text is None:
        raise upstream_error("MissingParameter", f"The parameter 'content[{index}].text' is missing.")
    if not isinstance(text, str) or not text.strip():
        raise invalid(f"content[{index}].text", "must be a string that is not empty")
    if raw.get("role") is not None:
        raise invalid(f"content[{index}].role", "a text item has no role")
    return text


def _media_item(raw: Mapping[str, Any], kind: str, index: int, assets: AnyAsset) -> Item:
    role = raw.get("role")
    if role is not None and role not in _ROLES[kind]:
        raise invalid(f"content[{index}].role", f"must be one of {', '.join(_ROLES[kind])}")
    field = f"content[{index}].{kind}.url"
    holder = raw.get(kind)
    url = holder.get("url") if isinstance(holder, dict) else None
    if url is None:
        raise upstream_error("MissingParameter", f"The parameter '{field}' is missing.")
    if not isinstance(url, str):
        raise invalid(field, "must be a string")
    if url[:5].lower() != "data:":
        _check_reference(url, field)
        found = assets.find(url.removeprefix("asset://"), kind) if url.startswith("asset://") else NO_MEDIUM
        return Item(index, kind, role, found)
    if kind == "video_url":
        raise invalid(field, "video is accepted as a URL or an asset only, not as Base64")
    return Item(index, kind, role, _inline(url, kind.removesuffix("_url"), field))


def _inline(uri: str, family: str, field: str) -> Medium:
    """Check an image or audio given as a data URI, whose head must be in lower case."""
    try:
        declared, data = media.decode_uri(uri)
        if not uri.startswith(f"data:{family}/") or declared not in media.DECLARED:
            raise invalid(field, f"the media type must be that of a known {family} format, in lower case")
        return media.inspect(data, family, declared)
    except media.BadMedia as finding:
        raise invalid(field, finding.message) from None


def _check_reference(url: str, field: str) -> None:
    if url[:8].lower() == "asset://":
        if not _ASSET.fullmatch(url):
            raise invalid(field, "must have the form asset://<id>", "InvalidParameter.AssetID")
    elif not media.is_http_url(url):
        raise invalid(field, "must be an http(s) URL, a data URI or asset://<id>")


def _mode(items: Sequence[Item]) -> str:
    if not items:
        return "text"
    for kind, most in _MOST.items():
        of_kind = [item for item in items if item.type == kind]
        if len(of_kind) > most:
            raise invalid(f"content[{of_kind[most].index}]", f"at most {most} {kind} items are allowed")
    roles = [item.role or "first_frame" for item in items]
    frames = [role for role in roles if role in ("first_frame", "last_frame")]
    if not frames:
        return _reference_mode(items)
    if len(frames) < len(roles):
        odd = next(item for item in items if item.role not in ("first_frame", "last_frame"))
        reason = "first frame, first and last frame, and reference are modes that cannot be combined"
        raise invalid(f"content[{odd.index}].role", reason)
    if "first_frame" not in frames:
        raise invalid(f"content[{items[0].index}].role", "a last_frame needs a first_frame")
    if len(set(frames)) < len(frames):
        reason = "at most one first_frame and one last_frame are allowed"
        raise invalid(f"content[{items[1].index}].role", reason)
    return "first frame" if len(frames) == 1 else "first and last frame"


def _reference_mode(items: Sequence[Item]) -> str:
    if all(item.type == "audio_url" for item in items):
        raise invalid(f"content[{items[0].index}]", "audio needs at least one image or video with it")
    if sum(item.medium.seconds for item in items if item.type == "audio_url") > _AUDIO_SECONDS_TOGETHER:
        raise invalid(f"content[{items[-1].index}]", "all audio together must not be longer than 15 s")
    return "reference"


def _web_search(body: Mapping[str, Any], items: Sequence[Item]) -> bool:
    tools = body.get("tools", [])
    if not isinstance(tools, list):
        raise _wrong_type("tools", "array")
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict) or tool.get("type") != "web_search" or index > 0:
            raise invalid(f"tools[{index}]", 'tools must be [{"type": "web_search"}]')
    if tools and items:
        raise invalid("tools[0]", "web_search is for text-to-video only")
    return bool(tools)


def _output(body: Mapping[str, Any], model: str) -> tuple[str, str, int]:
    offer = catalog.MODELS[model]
    resolution = body.get("resolution", offer.default_resolution)
    if resolution is None:
        raise upstream_error("MissingParameter", f"The parameter 'resolution' is missing, {model} needs it.")
    if resolution not in offer.resolutions:
        raise invalid("resolution", f"{model} offers {', '.join(offer.resolutions)}")
    ratio = body.get("ratio", "adaptive")
    if ratio != "adaptive" and ratio not in catalog.RATIOS:
        raise invalid("ratio", f"must be one of {', '.join(catalog.RATIOS)}, adaptive")
    duration = body.get("duration", 5)
    if not catalog.SHORTEST <= duration <= catalog.LONGEST:
        raise invalid("duration", f"must be {catalog.SHORTEST} to {catalog.LONGEST} seconds")
    return resolution, ratio, duration


def _minor_fields(body: Mapping[str, Any]) -> None:
    if body.get("seed", -1) < -1:
        raise invalid("seed", "must be -1 or a non-negative integer")
    if not 60 <= body.get("execution_expires_after", 60) <= 259_200:  # the wider of two readings that disagree
        raise invalid("execution_expires_after", "must be 60 to 259200 seconds")
    if len(body.get("safety_identifier", "")) > 64:
        raise invalid("safety_identifier", "must not be longer than 64 characters")
    if body.get("output_format", "mp4") != "mp4":
        raise invalid("output_format", "must be mp4")
    if body.get("omni_reference_task_type", "auto") not in ("auto", "reference", "edit", "extend"):
        raise invalid("omni_reference_task_type", "must be auto, reference, edit or extend")
