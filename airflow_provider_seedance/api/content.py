"""The content array: read from parameters or from raw content, and written in the vendor's order."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.media import MediaKind, check_media
from airflow_provider_seedance.api.values import is_literal, list_items, prompt_text, refuse, shown

Mode = Literal["text_to_video", "first_frame", "first_and_last_frame", "multimodal_reference"]
Role = Literal["first_frame", "last_frame", "reference_image", "reference_video", "reference_audio"]

#: What an item can be used for, with the kind of media that it takes.
ROLES: Mapping[Role, MediaKind] = {
    "first_frame": "image",
    "last_frame": "image",
    "reference_image": "image",
    "reference_video": "video",
    "reference_audio": "audio",
}
#: The media parameters in the order sent, with the role of their items.
MEDIA_PARAMETERS: Mapping[str, Role] = {
    "first_frame": "first_frame",
    "last_frame": "last_frame",
    "reference_images": "reference_image",
    "reference_videos": "reference_video",
    "reference_audios": "reference_audio",
}
#: Each type of item in the order that the service wants (contract.md#content-rules), with the kind of media it holds.
_TYPES: Mapping[str, MediaKind | None] = {
    "text": None,
    "image_url": "image",
    "video_url": "video",
    "audio_url": "audio",
}
_ORDER = tuple(_TYPES)


@dataclass(frozen=True, slots=True)
class MediaItem:
    """
    One image, video or clip of a request.

    :param name: The parameter it came from, such as ``reference_images[1]``, or ``content[2]``.
    :param role: What it is used for.
    :param value: A link, ``asset://<id>``, a ``data:`` URI or a path.
    """

    name: str
    role: Role
    value: str = field(repr=False)

    @property
    def kind(self) -> MediaKind:
        """The kind of media: ``image``, ``video`` or ``audio``."""
        return ROLES[self.role]

    @property
    def is_frame(self) -> bool:
        """Whether it is the video's first or last frame."""
        return self.role in ("first_frame", "last_frame")

    @property
    def is_raw(self) -> bool:
        """Whether it came in raw content."""
        return self.name.startswith("content[")

    @property
    def parameter(self) -> str:
        """The parameter without an index, except for raw content, whose items only the index identifies."""
        return self.name if self.is_raw else self.name.partition("[")[0]


@dataclass(frozen=True, slots=True)
class Content:
    """
    The text and the media of a request, wherever they were given.

    :param text: The prompt.
    :param items: The media in the order sent.
    :param raw: The raw content that they came from; None if they came from parameters.
    """

    text: str | None = field(repr=False)
    items: tuple[MediaItem, ...]
    raw: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)

    @property
    def mode(self) -> Mode:
        """Which of the service's exclusive modes this is; editing and extension are references too."""
        roles = {item.role for item in self.items}
        if not roles:
            return "text_to_video"
        if "last_frame" in roles:
            return "first_and_last_frame"
        return "first_frame" if "first_frame" in roles else "multimodal_reference"

    @property
    def text_name(self) -> str:
        """The parameter that the text came from, for messages."""
        return "prompt" if self.raw is None else "content[0]"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that the items of the array came from, in order."""
        return (*([] if self.text is None else [self.text_name]), *(item.name for item in self.items))

    def to_json(self, media: Sequence[str]) -> list[dict[str, Any]]:
        """
        Write the array.

        :param media: What is sent for each of ``items``.
        :returns: Plain JSON values, none shared with this object. Raw items keep all their other members.
        """
        text = [] if self.text is None else [{"type": "text", "text": self.text}]
        if self.raw is None:
            return text + [
                {"type": f"{item.kind}_url", f"{item.kind}_url": {"url": value}, "role": item.role}
                for item, value in zip(self.items, media, strict=True)
            ]
        array = [copy.deepcopy(dict(item)) for item in self.raw]
        for written, item, value in zip(array[len(text) :], self.items, media, strict=True):
            written[f"{item.kind}_url"]["url"] = value
        return array


def media_value(name: str, value: object) -> str:
    """Convert a parameter that takes one media item."""
    return check_media(value, ROLES[MEDIA_PARAMETERS[name]], item=name)


def media_list(name: str, value: object) -> tuple[str, ...]:
    """Take the list of a parameter that holds several items, no more of them than the service takes."""
    items = list_items(name, value)
    kind = ROLES[MEDIA_PARAMETERS[name]]
    _check_count(name, len(items), kind)
    return tuple(check_media(item, kind, item=f"{name}[{index}]") for index, item in enumerate(items))


def check_literal_items(name: str, items: Sequence[object]) -> None:
    """
    Check a list whose items are templates in part: their number, and those that are literal.

    :raises SeedanceRequestError: There are too many, or one is not a media value.
    """
    kind = ROLES[MEDIA_PARAMETERS[name]]
    _check_count(name, len(items), kind)
    for index, item in enumerate(items):
        if is_literal(item):
            check_media(item, kind, item=f"{name}[{index}]")


def read_content(values: Mapping[str, Any]) -> Content:
    """
    Read text and media out of checked parameters.

    :param values: By parameter; one that is missing, None or empty counts as not given.
    :returns: What they hold.
    :raises SeedanceRequestError: Raw content is malformed, or another content parameter is given too.
    """
    raw = values.get("content")
    if raw is None:
        return Content(values.get("prompt"), tuple(_items(values)))
    others = [name for name in ("prompt", *MEDIA_PARAMETERS) if values.get(name) not in (None, ())]
    if others:
        what = f"cannot be combined with {' and '.join(others)}"
        refuse("content", what, "Use either raw content or those parameters")
    return _read_raw(raw)


def _items(values: Mapping[str, Any]) -> list[MediaItem]:
    items = []
    for name, role in MEDIA_PARAMETERS.items():
        given = values.get(name)
        if isinstance(given, str):
            items.append(MediaItem(name, role, given))
        else:
            items += [MediaItem(f"{name}[{index}]", role, value) for index, value in enumerate(given or ())]
    return items


def _read_raw(raw: Sequence[Any]) -> Content:
    """Check types, order, counts and roles. Modes are checked as for parameters."""
    kinds = [_kind_of(f"content[{index}]", item) for index, item in enumerate(raw)]
    _check_order(raw)
    if kinds.count(None) > 1:
        refuse("content[1]", "is a second text item", "Put the whole prompt into one")
    for counted in dict.fromkeys(ROLES.values()):
        _check_count("content", kinds.count(counted), counted)
    lone_image = [kind for kind in kinds if kind] == ["image"]
    text = None
    items = []
    for index, (item, kind) in enumerate(zip(raw, kinds, strict=True)):
        name = f"content[{index}]"
        if kind is None:
            text = _text_of(name, item)
        else:
            role = _role_of(name, item, kind, lone_image=lone_image)
            items.append(MediaItem(name, role, _url_of(name, item, kind)))
    return Content(text, tuple(items), raw)


def _kind_of(name: str, item: Any) -> MediaKind | None:
    if not isinstance(item, dict):
        refuse(name, f"is {shown(item)}, not a dictionary", 'Give items such as {"type": "text", "text": …}')
    if not isinstance(item.get("type"), str) or item["type"] not in _TYPES:
        refuse(name, f"has the type {shown(item.get('type'))}", f"Give one of {', '.join(_ORDER)}")
    return _TYPES[item["type"]]


def _check_order(raw: Sequence[Any]) -> None:
    places = [_ORDER.index(item["type"]) for item in raw]
    for index in range(1, len(places)):
        if places[index] < places[index - 1]:
            refuse(
                f"content[{index}]",
                f"is {_ORDER[places[index]]} behind {_ORDER[places[index - 1]]}",
                f"Sort the items into the order that the service wants: {', '.join(_ORDER)}",
            )


def _check_count(name: str, count: int, kind: MediaKind) -> None:
    if count > limits.MAX_ITEMS[kind]:
        refuse(name, f"has {count} items of kind {kind}", f"Give at most {limits.MAX_ITEMS[kind]}")


def _text_of(name: str, item: Mapping[str, Any]) -> str:
    if item.get("role") is not None:
        refuse(name, "is text and has a role", "Omit the role")
    return prompt_text(name, item.get("text"))


def _role_of(name: str, item: Mapping[str, Any], kind: MediaKind, *, lone_image: bool) -> Role:
    given = item.get("role")
    if given is None and lone_image:
        return "first_frame"
    allowed = [role for role, takes in ROLES.items() if takes == kind]
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
