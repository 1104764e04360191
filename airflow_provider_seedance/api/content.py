"""The content array: made from parameters in the vendor's order, or read from raw content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_seedance.api.media import MediaKind, check_media
from airflow_provider_seedance.api.values import check_count, prompt_text, refuse, shown

Role = Literal["first_frame", "last_frame", "reference_image", "reference_video", "reference_audio"]

#: Each type of item in the order that the service wants (contract 1.2), with the kind of media it holds.
_KINDS: Mapping[str, MediaKind | None] = {
    "text": None,
    "image_url": "image",
    "video_url": "video",
    "audio_url": "audio",
}
_ORDER = tuple(_KINDS)
_ROLES: Mapping[MediaKind, tuple[Role, ...]] = {
    "image": ("first_frame", "last_frame", "reference_image"),
    "video": ("reference_video",),
    "audio": ("reference_audio",),
}

#: Parameters that hold one image each, and those that hold a list, in the order that they are sent.
FRAME_PARAMETERS: Mapping[str, Role] = {"first_frame": "first_frame", "last_frame": "last_frame"}
LIST_PARAMETERS: Mapping[str, tuple[MediaKind, Role]] = {
    "reference_images": ("image", "reference_image"),
    "reference_videos": ("video", "reference_video"),
    "reference_audios": ("audio", "reference_audio"),
}


@dataclass(frozen=True, slots=True)
class MediaItem:
    """
    One image, video or clip of a request.

    :param name: The parameter it came from, such as ``reference_images[1]``, or ``content[2]``.
    :param kind: ``image``, ``video`` or ``audio``.
    :param role: What it is used for.
    :param value: A link, ``asset://<id>``, a ``data:`` URI or a path.
    """

    name: str
    kind: MediaKind
    role: Role
    value: str = field(repr=False)

    @property
    def is_raw(self) -> bool:
        """It came by raw content."""
        return self.name.startswith("content[")

    @property
    def parameter(self) -> str:
        """The parameter alone, without an index, except for raw content where the index tells items apart."""
        return self.name if self.is_raw else self.name.partition("[")[0]


def items_of_parameters(values: Mapping[str, Any]) -> tuple[MediaItem, ...]:
    """
    Put the media parameters into the vendor's order.

    :param values: Checked values by parameter; what is missing or None counts as not given.
    :return: Images, then videos, then clips.
    """
    frames = [
        MediaItem(name, "image", role, values[name])
        for name, role in FRAME_PARAMETERS.items()
        if values.get(name) is not None
    ]
    references = [
        MediaItem(f"{name}[{index}]", kind, role, value)
        for name, (kind, role) in LIST_PARAMETERS.items()
        for index, value in enumerate(values.get(name) or ())
    ]
    return (*frames, *references)


def text_item(prompt: str) -> dict[str, Any]:
    """Write the text item as the service wants it."""
    return {"type": "text", "text": prompt}


def media_item(item: MediaItem, value: str) -> dict[str, Any]:
    """Write a media item as the service wants it, with the value that is to be sent and its role."""
    return {"type": f"{item.kind}_url", f"{item.kind}_url": {"url": value}, "role": item.role}


@dataclass(frozen=True, slots=True)
class RawContent:
    """
    Raw content, checked.

    :param prompt: Its text item's text.
    :param items: Its media items, named ``content[i]``.
    """

    prompt: str | None = field(repr=False)
    items: tuple[MediaItem, ...]


def read_raw(content: Sequence[Any]) -> RawContent:
    """
    Check raw content by itself: types, order, counts and roles. Modes are checked as for parameters.

    :param content: The array as given, of plain JSON values.
    :return: What it says.
    :raises SeedanceRequestError: An item that is malformed, out of order, or without the role it needs.
    """
    kinds = [_kind_of(f"content[{index}]", item) for index, item in enumerate(content)]
    _in_strict_order(content)
    _one_text_at_most(kinds)
    for media_kind in _ROLES:
        check_count("content", kinds.count(media_kind), media_kind)
    lone_image = [kind for kind in kinds if kind] == ["image"]
    prompt = None
    items = []
    for index, (item, kind) in enumerate(zip(content, kinds, strict=True)):
        name = f"content[{index}]"
        if kind is None:
            prompt = _text_of(name, item)
        else:
            role = _role_of(name, item, kind, lone_image=lone_image)
            items.append(MediaItem(name, kind, role, _url_of(name, item, kind)))
    return RawContent(prompt, tuple(items))


def _kind_of(name: str, item: Any) -> MediaKind | None:
    if not isinstance(item, dict):
        refuse(name, f"is {shown(item)}, not a dictionary", 'Give items such as {"type": "text", "text": …}')
    if not isinstance(item.get("type"), str) or item["type"] not in _KINDS:
        refuse(name, f"has the type {shown(item.get('type'))}", f"Give one of {', '.join(_ORDER)}")
    return _KINDS[item["type"]]


def _in_strict_order(content: Sequence[Any]) -> None:
    places = [_ORDER.index(item["type"]) for item in content]
    for index in range(1, len(places)):
        if places[index] < places[index - 1]:
            refuse(
                f"content[{index}]",
                f"is {_ORDER[places[index]]} behind {_ORDER[places[index - 1]]}",
                f"Sort the items into the order that the service wants: {', '.join(_ORDER)}",
            )


def _one_text_at_most(kinds: Sequence[MediaKind | None]) -> None:
    if kinds.count(None) > 1:
        refuse("content[1]", "is a second text item", "Put the whole prompt into one")


def _text_of(name: str, item: Mapping[str, Any]) -> str:
    if item.get("role") is not None:
        refuse(name, "is text and has a role", "Leave the role out")
    return prompt_text(name, item.get("text"))


def _role_of(name: str, item: Mapping[str, Any], kind: MediaKind, *, lone_image: bool) -> Role:
    allowed = _ROLES[kind]
    given = item.get("role")
    if given is None and lone_image:
        return "first_frame"
    for role in allowed:
        if role == given:
            return role
    what = "has no role" if given is None else f"has the role {shown(given)}, which is none for {kind}"
    return refuse(name, what, f"Set its role to {' or '.join(allowed)}")


def _url_of(name: str, item: Mapping[str, Any], kind: MediaKind) -> str:
    holder = item.get(f"{kind}_url")
    if not isinstance(holder, dict) or not isinstance(holder.get("url"), str):
        refuse(name, "has no link", f'Give {{"{kind}_url": {{"url": …}}}}')
    return check_media(holder["url"], kind, item=name)


def raw_item(item: Mapping[str, Any], value: str) -> dict[str, Any]:
    """Write a raw media item again as it was given, with the value that is to be sent."""
    key = str(item["type"])
    return {**item, key: {**item[key], "url": value}}
