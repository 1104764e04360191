"""
What may be asked of the service: checked before it costs money, and turned into the JSON that is sent.

The parameters are those of the operator. Each is brought to its type by itself (:mod:`.values`, :mod:`.media`), then
the rules between them are applied (:mod:`.rules`): to a whole request here, and to what is literal when a Dag is
parsed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from typing import Any, Protocol

from airflow_provider_seedance.api import limits, values
from airflow_provider_seedance.api.content import (
    LIST_PARAMETERS,
    MediaItem,
    media_item,
    raw_item,
    text_item,
)
from airflow_provider_seedance.api.fingerprint import (
    canonical_extra,
    canonical_json,
    canonical_media,
    digest,
    prompt_fingerprint,
)
from airflow_provider_seedance.api.media import MediaKind, check_media, media_form
from airflow_provider_seedance.api.rules import Draft, Mode, apply_rules, warnings_of
from airflow_provider_seedance.exceptions import SeedanceRequestError


class MediaLoader(Protocol):
    """Reads and checks what travels in the request: :func:`~airflow_provider_seedance.hooks.media.load_media`."""

    def __call__(self, value: str, kind: MediaKind, *, item: str) -> str:
        """Turn a path or a ``data:`` URI into the ``data:`` URI to send; ``item`` names it in messages."""


def _media_value(name: str, value: object) -> str:
    return check_media(value, "image", item=name)


#: What brings each parameter to its type.
_NORMALISERS: Mapping[str, Callable[[str, object], Any]] = {
    "prompt": values.prompt_text,
    "first_frame": _media_value,
    "last_frame": _media_value,
    **{name: partial(values.media_list, kind=kind) for name, (kind, _) in LIST_PARAMETERS.items()},
    "model": values.word,
    "resolution": values.lower_word,
    "ratio": values.lower_word,
    "duration": values.whole_number,
    "generate_audio": values.truth,
    "watermark": values.truth,
    "web_search": values.truth,
    "return_last_frame": values.truth,
    "seed": values.seed_number,
    "content": values.json_list,
    "extra_body": values.extra_fields,
}


@dataclass(frozen=True, kw_only=True, repr=False)
class GenerationRequest:
    """
    One generation to ask for. Making one checks it; see design 5 and contract 1 for the rules.

    Values may be as a template renders them: ``"8"`` and ``"true"`` are taken, ``"five"`` is not. None stands for the
    default. After that every attribute has its proper type.

    :param prompt: What the video shows. ``@image1``, ``@video1`` and ``@audio1`` name the media, counted by kind.
    :param first_frame: The image that the video begins with.
    :param last_frame: The image that it ends with; needs ``first_frame``.
    :param reference_images: Up to 9 images to draw on; not together with frames.
    :param reference_videos: Up to 3 videos to draw on, edit or extend, by link or asset.
    :param reference_audios: Up to 3 clips, wav or mp3; not without an image or a video.
    :param model: The model. A name that is not known here is sent with a warning, and its limits are not checked.
    :param resolution: ``480p``, ``720p``, ``1080p`` or, for the ultra model, ``2k``.
    :param ratio: Width to height, or ``adaptive`` to follow the media.
    :param duration: Seconds, 4 to 15.
    :param generate_audio: With sound.
    :param watermark: With the vendor's watermark.
    :param web_search: Let the model look things up; for text alone.
    :param return_last_frame: Ask for the video's last frame as an image too.
    :param seed: A number from 0 to make results alike, or -1 for a random one; None sends none.
    :param content: The content array as the service takes it, instead of prompt and media; checked all the same.
    :param extra_body: Further fields of the request, sent unchecked.
    :raises SeedanceRequestError: With the parameter as ``field``, and the remedy in its message.
    """

    prompt: str | None = None
    first_frame: str | None = None
    last_frame: str | None = None
    reference_images: Sequence[str] = ()
    reference_videos: Sequence[str] = ()
    reference_audios: Sequence[str] = ()
    model: str = limits.DEFAULT_MODEL
    resolution: str = limits.DEFAULT_RESOLUTION
    ratio: str = limits.ADAPTIVE
    duration: int = limits.DEFAULT_DURATION
    generate_audio: bool = True
    watermark: bool = False
    web_search: bool = False
    return_last_frame: bool = False
    seed: int | None = None
    content: Sequence[Mapping[str, Any]] | None = field(default=None, hash=False)
    extra_body: Mapping[str, Any] | None = field(default=None, hash=False)
    #: What is doubtful about it, in sentences for a log that hold none of the prompt.
    warnings: tuple[str, ...] = field(init=False, compare=False)
    _draft: Draft = field(init=False, compare=False)

    def __post_init__(self) -> None:
        checked = {name: normalise(name, getattr(self, name)) for name in _NORMALISERS}
        draft = Draft.of(checked)
        apply_rules(draft)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_draft", draft)
        object.__setattr__(self, "warnings", warnings_of(draft))

    def __repr__(self) -> str:
        """Show what may be shown: neither prompt nor media."""
        return (
            f"GenerationRequest(mode={self.mode!r}, model={self.model!r}, resolution={self.resolution!r}, "
            f"ratio={self.ratio!r}, duration={self.duration!r})"
        )

    @property
    def mode(self) -> Mode:
        """Which of the service's modes this is; editing and extension are forms of ``multimodal_reference``."""
        return self._draft.mode

    @property
    def media(self) -> tuple[MediaItem, ...]:
        """The media in the order sent."""
        return self._draft.items

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompt, wherever it was given: what no message may hold."""
        return () if self._draft.prompt is None else (self._draft.prompt,)

    @property
    def prompt_fingerprint(self) -> str | None:
        """The prompt's SHA-256 in hexadecimal, which names it without saying it; None without a prompt."""
        return prompt_fingerprint(self._draft.prompt)

    def item_name(self, index: int) -> str | None:
        """
        Name the item that the service calls ``content[index]`` (contract 3.3).

        :param index: From 0.
        :return: Such as ``prompt`` or ``reference_images[1]``, ``content[2]`` for raw content, None past the end.
        """
        if self.content is not None:
            names = [f"content[{place}]" for place in range(len(self.content))]
        else:
            names = (["prompt"] if self.prompt is not None else []) + [item.name for item in self.media]
        return names[index] if 0 <= index < len(names) else None

    def to_json(self, media: MediaLoader | None = None) -> dict[str, Any]:
        """
        Write the request's body.

        :param media: Reads paths and checks ``data:`` URIs, see :class:`MediaLoader`. Without it both stay as they
            are: the body then shows what would be sent, and opens nothing.
        :return: Plain JSON values, in the key order of the vendor's examples, none shared with this object.
        :raises SeedanceRequestError: From ``media``.
        """

        def expand(item: MediaItem) -> str:
            if media is None or media_form(item.value) not in ("path", "data"):
                return item.value
            return media(item.value, item.kind, item=item.name)

        return {**self._governed_fields(expand), **values.plain_json("extra_body", self.extra_body or {})}

    def _governed_fields(self, value_of: Callable[[MediaItem], str]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "content": self._content(value_of),
            "generate_audio": self.generate_audio,
            "resolution": self.resolution,
            "ratio": self.ratio,
            "duration": self.duration,
        }
        if self.web_search:
            body["tools"] = [{"type": "web_search"}]
        body["watermark"] = self.watermark
        if self.return_last_frame:
            body["return_last_frame"] = True
        if self.seed is not None:
            body["seed"] = self.seed
        return body

    def _content(self, value_of: Callable[[MediaItem], str]) -> list[dict[str, Any]]:
        if self.content is None:
            text = [] if self.prompt is None else [text_item(self.prompt)]
            return text + [media_item(item, value_of(item)) for item in self.media]
        raw: list[dict[str, Any]] = values.plain_json("content", self.content)
        text = raw[: len(raw) - len(self.media)]
        return text + [
            raw_item(given, value_of(item)) for given, item in zip(raw[len(text) :], self.media, strict=True)
        ]

    def canonical(self) -> str:
        """
        Write what makes this request the same as another (design 7).

        :return: JSON with sorted keys: media as given, links without their signature, ``data:`` URIs as their SHA-256.
        """
        body = self._governed_fields(lambda item: canonical_media(item.value))
        return canonical_json({**body, **canonical_extra(self.extra_body or {})})

    def expected_tokens(self) -> int | None:
        """
        Reckon what the service will count (contract 5): ``width * height * (24 * duration + 1) / 1024``.

        :return: Tokens, rounded down; ``adaptive`` is taken for 16:9. None where the pixel size is not known
            (2k, unknown models). Where :attr:`expected_tokens_is_lower_bound`, the input's seconds come on top.
        """
        pixels = limits.output_pixels(self.model, self.resolution, self.ratio)
        if pixels is None:
            return None
        width, height = pixels
        return width * height * (limits.FPS * self.duration + 1) // 1024

    @property
    def expected_tokens_is_lower_bound(self) -> bool:
        """True where the input holds video, whose seconds are counted too and are not known here."""
        return any(item.kind == "video" for item in self.media)


_DEFAULTS: Mapping[str, Any] = {
    parameter.name: parameter.default for parameter in fields(GenerationRequest) if parameter.default is not MISSING
}


def normalise(name: str, value: object) -> Any:
    """
    Bring one parameter to its type.

    :param name: A content parameter of the operator.
    :param value: As given or rendered; None for the default.
    :return: The value as :class:`GenerationRequest` holds it.
    :raises SeedanceRequestError: It cannot be taken for one.
    """
    return _DEFAULTS[name] if value is None else _NORMALISERS[name](name, value)


def check_literals(arguments: Mapping[str, object], is_literal: Callable[[object], bool]) -> None:
    """
    Check what can be checked of an operator's arguments when its Dag is parsed, before anything is rendered.

    Every literal parameter is checked by itself, and every rule whose parameters are all literal. A model that is not
    given is the connection's: then what no known model takes is refused.

    :param arguments: The operator's arguments by name; others than the content parameters are passed over.
    :param is_literal: Tells a value from a template or an XComArg. It is asked about a parameter and about each member
        of a list or dictionary in it.
    :raises SeedanceRequestError: A literal is wrong, whatever the rest renders to.
    """
    known: dict[str, Any] = {}
    for name in _NORMALISERS:
        value = arguments.get(name)
        if _all_literal(value, is_literal):
            known[name] = normalise(name, value)
        elif name in LIST_PARAMETERS and isinstance(value, (list, tuple)):
            _check_literal_items(name, value, is_literal)
    if arguments.get("model") is None:
        known["model"] = None
    apply_rules(Draft.of(known), known=known)


def _all_literal(value: object, is_literal: Callable[[object], bool]) -> bool:
    if value is None:
        return True
    if not is_literal(value):
        return False
    if isinstance(value, Mapping):
        return all(_all_literal(member, is_literal) for pair in value.items() for member in pair)
    if isinstance(value, (list, tuple)):
        return all(_all_literal(member, is_literal) for member in value)
    return True


def _check_literal_items(name: str, items: Sequence[object], is_literal: Callable[[object], bool]) -> None:
    kind = LIST_PARAMETERS[name][0]
    values.check_count(name, len(items), kind)
    for index, item in enumerate(items):
        if _all_literal(item, is_literal):
            check_media(item, kind, item=f"{name}[{index}]")


def fingerprint(request: GenerationRequest, conn_id: str) -> str:
    """
    Tell a request from any other, so that a retry finds the generation that was paid for (design 7).

    :param request: The request, media not expanded.
    :param conn_id: The connection it goes through: another account has other generations.
    :return: SHA-256 in hexadecimal, the same for every rendering of the same pre-signed link.
    """
    return digest((request.canonical(), conn_id))


def encode_body(body: Mapping[str, Any]) -> bytes:
    """
    Encode a body, and refuse one that is too large for the service.

    :param body: As :meth:`GenerationRequest.to_json` made it, media expanded.
    :return: The JSON to send, so that it is encoded only once.
    :raises SeedanceRequestError: 64 MB of JSON or more, Base64 included (contract 0).
    """
    encoded = json.dumps(body, separators=(",", ":")).encode("ascii")
    if len(encoded) >= limits.MAX_BODY_BYTES:
        raise SeedanceRequestError(
            f"The request has {len(encoded) / limits.MIB:.1f} MB of JSON; the service takes less than "
            f"{limits.MAX_BODY_BYTES // limits.MIB} MB. Give large media as https:// links or as assets."
        )
    return encoded
