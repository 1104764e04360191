"""
The request for one generation: checked before it costs money, and written as the JSON that is sent.

The parameters are those of the operator, each declared once, in :class:`GenerationRequest`. Each is converted to its
type by itself (:mod:`.values`, :mod:`.content`), then the rules between them are checked (:mod:`.rules`): for a whole
request here, and for what is literal when a Dag is parsed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from airflow_provider_seedance.api import limits, values
from airflow_provider_seedance.api.content import (
    Content,
    MediaItem,
    Mode,
    check_literal_items,
    media_list,
    media_value,
)
from airflow_provider_seedance.api.fingerprint import (
    canonical_extra,
    canonical_json,
    canonical_media,
    digest,
    prompt_fingerprint,
)
from airflow_provider_seedance.api.parse import encode_json
from airflow_provider_seedance.api.rules import check_rules, warnings_of

#: Characters; a shorter text of ``extra_body`` gives nothing away, and would be found in any message.
_SHORTEST_SECRET = 4


def _parameter(
    take: Callable[[str, object], object],
    default: object = None,
    *,
    sent: Literal["always", "if set", "no"] = "no",
    sent_as: str | None = None,
) -> Any:
    """
    Declare a content parameter.

    :param take: Converts a value, as a template may render it, to the parameter's type, given its name for messages.
    :param default: What None stands for.
    :param sent: Whether it is sent as a field of its own: ``if set`` leaves out the default.
    :param sent_as: That field's name, if it is not the parameter's.
    """
    return attrs.field(
        default=default,
        converter=attrs.Converter(_convert, takes_field=True),
        metadata={"take": take, "sent": sent, "sent_as": sent_as},
    )


def _convert(value: object, parameter: attrs.Attribute[Any]) -> Any:
    return parameter.default if value is None else parameter.metadata["take"](parameter.name, value)


def _further_fields(name: str, value: object) -> dict[str, Any]:
    """
    Take further fields for the request, and refuse those that a parameter governs, however they are spelled.

    Some JSON libraries, Go's among them, ignore case when they read a field.
    """
    fields = values.json_object(name, value)
    governed = {
        _spelling(governs): parameter
        for parameter in _parameters()
        for governs in (parameter.name, parameter.metadata["sent_as"] or parameter.name)
    }
    for field in fields:
        if parameter := governed.get(_spelling(field)):
            values.refuse(name, f"would override {field!r}", f"Use the parameter {parameter.name!r} for it")
    return fields


def _spelling(field: str) -> str:
    """Reduce a field's name to what all its spellings share, such as ``Duration`` and ``generateAudio``."""
    return re.sub(r"[\W_]", "", field).casefold()


@attrs.frozen(kw_only=True, repr=False)
class GenerationRequest:
    """
    One generation to create. Constructing it checks it.

    The rules are those of contract.md#create-request and contract.md#content-rules. Values may be as a template renders
    them: ``"8"`` and ``"true"`` are taken, ``"five"`` is not. None stands for the default. Every attribute then has its
    proper type. They are declared in the order that the vendor sends them.

    :param model: The model. A name that is not known here is sent with a warning, and its limits are not checked.
    :param prompt: What the video shows. ``@image1``, ``@video1`` and ``@audio1`` name the media, counted by kind.
    :param first_frame: The image that the video begins with.
    :param last_frame: The image that it ends with; needs ``first_frame``.
    :param reference_images: Up to 9 images to draw on; not together with frames.
    :param reference_videos: Up to 3 videos to draw on, edit or extend, by link or asset.
    :param reference_audios: Up to 3 clips, wav or mp3; not without an image or a video.
    :param content: The content array as the service takes it, instead of prompt and media; checked all the same.
    :param generate_audio: With sound. Default: True.
    :param resolution: ``480p``, ``720p`` (default), ``1080p`` or, for the ultra model, ``2k``.
    :param ratio: Width to height, or ``adaptive`` (default) to follow the media.
    :param duration: Seconds, 4 to 15. Default: 5.
    :param web_search: Let the model search the web; for text alone. Default: False.
    :param watermark: With the vendor's watermark. Default: False.
    :param return_last_frame: Ask for the video's last frame as an image too. Default: False.
    :param seed: A number from 0 to make results alike, or -1 for a random one; None sends none.
    :param extra_body: Further fields of the request, sent unchecked.
    :param model_is_given: False if ``model`` is a default that may be edited, such as the connection's: that makes no
        other request of it. Default: True.
    :raises SeedanceRequestError: With the parameter as ``field``, and the remedy in its message.
    """

    model: str = _parameter(values.word, limits.DEFAULT_MODEL, sent="always")
    prompt: str | None = _parameter(values.prompt_text)
    first_frame: str | None = _parameter(media_value)
    last_frame: str | None = _parameter(media_value)
    reference_images: Sequence[str] = _parameter(media_list, ())
    reference_videos: Sequence[str] = _parameter(media_list, ())
    reference_audios: Sequence[str] = _parameter(media_list, ())
    content: Sequence[Mapping[str, Any]] | None = _parameter(values.json_list, sent="always")
    generate_audio: bool = _parameter(values.boolean, True, sent="always")
    resolution: str = _parameter(values.lower_word, limits.DEFAULT_RESOLUTION, sent="always")
    ratio: str = _parameter(values.lower_word, limits.ADAPTIVE, sent="always")
    duration: int = _parameter(values.whole_number, limits.DEFAULT_DURATION, sent="always")
    web_search: bool = _parameter(values.boolean, False, sent="if set", sent_as="tools")
    watermark: bool = _parameter(values.boolean, False, sent="always")
    return_last_frame: bool = _parameter(values.boolean, False, sent="if set")
    seed: int | None = _parameter(values.seed_number, sent="if set")
    extra_body: Mapping[str, Any] | None = _parameter(_further_fields)
    model_is_given: bool = attrs.field(default=True, eq=False)
    _content: Content = attrs.field(init=False, eq=False)

    @_content.default
    def _checked_content(self) -> Content:
        return check_rules({parameter.name: getattr(self, parameter.name) for parameter in _parameters()})

    def __repr__(self) -> str:
        """Show what may be shown: neither prompt nor media."""
        return (
            f"GenerationRequest(mode={self.mode!r}, model={self.model!r}, resolution={self.resolution!r}, "
            f"ratio={self.ratio!r}, duration={self.duration!r})"
        )

    @property
    def mode(self) -> Mode:
        """Which of the service's modes this is; editing and extension are forms of ``multimodal_reference``."""
        return self._content.mode

    @property
    def media(self) -> tuple[MediaItem, ...]:
        """The media in the order sent."""
        return self._content.items

    @property
    def item_names(self) -> tuple[str, ...]:
        """What the service calls ``content[i]`` in its errors: ``prompt``, ``reference_images[1]`` and so on."""
        return self._content.names

    @property
    def texts(self) -> tuple[str, ...]:
        """The prompt, wherever it was given."""
        return () if self._content.text is None else (self._content.text,)

    @property
    def secrets(self) -> tuple[str, ...]:
        """All texts of which no message may quote anything: the prompt, and those in ``extra_body``."""
        return secrets_of(self.to_json())

    @property
    def prompt_fingerprint(self) -> str | None:
        """The prompt's SHA-256 in hexadecimal, which identifies it without revealing it; None without a prompt."""
        return prompt_fingerprint(self._content.text)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is doubtful about it, in sentences for a log that contain none of the prompt."""
        return warnings_of(self.model, self._content)

    def to_json(self, media: Sequence[str] | None = None) -> dict[str, Any]:
        """
        Write the request's body.

        :param media: What to send for each of :attr:`media`, as
            :func:`~airflow_provider_seedance.files.inputs.load_media` returns it. None leaves them as they were given:
            the body then shows what would be sent, and nothing is opened.
        :returns: Plain JSON values, in the key order of the vendor's examples, none shared with this object.
        """
        given = [item.value for item in self.media] if media is None else media
        return {**self._governed_fields(given), **copy.deepcopy(dict(self.extra_body or {}))}

    def _governed_fields(self, media: Sequence[str]) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for field, parameter in _sent_parameters().items():
            value = getattr(self, parameter.name)
            if parameter.metadata["sent"] == "always" or value != parameter.default:
                body[field] = value
        body["content"] = self._content.to_json(media)
        if self.web_search:
            body["tools"] = [{"type": "web_search"}]
        return body

    def canonical(self) -> str:
        """
        Write what makes this request the same as another (decisions.md#paying-once).

        :returns: JSON with sorted keys: media as given, links without their signature, ``data:`` URIs as their SHA-256.
        """
        body = self._governed_fields([canonical_media(item.value) for item in self.media])
        if not self.model_is_given:
            body["model"] = limits.DEFAULT_MODEL
        return canonical_json({**body, **canonical_extra(self.extra_body or {})})

    def expected_tokens(self) -> int | None:
        """
        Estimate what the service will count: ``width * height * (24 * duration + 1) / 1024``.

        The formula is from contract.md#tokens-and-price.

        :returns: Tokens, rounded down; ``adaptive`` is taken for 16:9. None if the pixel size is not known (2k, unknown
            models). If :attr:`expected_tokens_is_lower_bound`, the input's seconds are counted on top.
        """
        pixels = limits.output_pixels(self.model, self.resolution, self.ratio)
        if pixels is None:
            return None
        width, height = pixels
        return width * height * (limits.FPS * self.duration + 1) // 1024

    @property
    def expected_tokens_is_lower_bound(self) -> bool:
        """True if the input contains video, whose seconds are counted too and are not known here."""
        return any(item.kind == "video" for item in self.media)


def _parameters() -> list[attrs.Attribute[Any]]:
    return [field for field in attrs.fields(GenerationRequest) if "take" in field.metadata]


def _sent_parameters() -> dict[str, attrs.Attribute[Any]]:
    """Map the request's fields, in the order sent, to the parameters that govern them."""
    return {
        parameter.metadata["sent_as"] or parameter.name: parameter
        for parameter in _parameters()
        if parameter.metadata["sent"] != "no"
    }


def check_literals(arguments: Mapping[str, object]) -> None:
    """
    Check whatever can be checked of an operator's arguments when its Dag is parsed, before anything is rendered.

    Every literal parameter is checked by itself, and every rule whose parameters are all literal. A model that is not
    given is the connection's: then whatever no known model takes is refused.

    :param arguments: The operator's arguments by name; any but the content parameters are ignored.
    :raises SeedanceRequestError: A literal is wrong, whatever the rest renders to.
    """
    known: dict[str, Any] = {}
    for parameter in _parameters():
        value = arguments.get(parameter.name)
        if values.is_literal(value):
            known[parameter.name] = _convert(value, parameter)
        elif parameter.metadata["take"] is media_list and isinstance(value, (list, tuple)):
            check_literal_items(parameter.name, value)
    if arguments.get("model") is None:
        known["model"] = None
    check_rules(known)


def fingerprint(request: GenerationRequest, conn_id: str) -> str:
    """
    Identify a request, so that a retry finds the generation that was paid for (decisions.md#paying-once).

    :param request: The request.
    :param conn_id: The connection it goes through: another account has other generations.
    :returns: SHA-256 in hexadecimal, the same for every rendering of the same pre-signed link.
    """
    return digest((request.canonical(), conn_id))


def secrets_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts of a request's body of which no message may quote anything; media are redacted by their form."""
    items = body.get("content")
    prompts = [item.get("text") for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    further = [value for name, value in body.items() if name not in _sent_parameters()]
    long = (text for text in values.texts_in(further) if len(text) >= _SHORTEST_SECRET)
    return (*values.texts_in(prompts), *long)


def encode_body(body: Mapping[str, Any]) -> bytes:
    """
    Encode a body, and refuse one that is too large for the service.

    :param body: From :meth:`GenerationRequest.to_json`, with the media loaded.
    :returns: The JSON to send, so that it is encoded only once.
    :raises SeedanceRequestError: It is 64 MB of JSON or more, Base64 included (contract.md#common-rules).
    """
    encoded = encode_json(body)
    if len(encoded) >= limits.MAX_BODY_BYTES:
        values.refuse(
            "content",
            f"makes a request of {len(encoded) / limits.MIB:.1f} MB of JSON; the service takes less than "
            f"{limits.MAX_BODY_BYTES // limits.MIB} MB",
            "Give large media as https:// links or as assets",
        )
    return encoded
