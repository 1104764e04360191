"""
The rules that hold between parameters, each a small function with its own message.

A rule names the parameters that it reads. The whole request is held against all of them; when a Dag is parsed, some
parameters are templates whose values nobody knows yet, and only the rules that do without those are asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.content import (
    FRAME_PARAMETERS,
    LIST_PARAMETERS,
    MediaItem,
    items_of_parameters,
    read_raw,
)
from airflow_provider_seedance.api.prompt import count_length, placeholders
from airflow_provider_seedance.api.values import refuse, shown

Mode = Literal["text_to_video", "first_frame", "first_and_last_frame", "multimodal_reference"]

FRAMES = tuple(FRAME_PARAMETERS)
REFERENCES = tuple(LIST_PARAMETERS)
MEDIA = (*FRAMES, *REFERENCES, "content")


@dataclass(frozen=True, slots=True)
class Draft:
    """
    A request whose single values are in order, as the rules see it.

    :param values: By parameter, each checked by itself.
    :param prompt: The text, whether it came by ``prompt`` or in raw content.
    :param items: The media in the order sent.
    """

    values: Mapping[str, Any] = field(repr=False)
    prompt: str | None = field(repr=False)
    items: tuple[MediaItem, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Draft:
        """Read the content out of checked values; raw content is held against its own rules here."""
        if values.get("content") is not None:
            raw = read_raw(values["content"])
            return cls(values, raw.prompt, raw.items)
        return cls(values, values.get("prompt"), items_of_parameters(values))

    @property
    def mode(self) -> Mode:
        """Which of the service's exclusive modes this is (contract 1.2); editing and extension are references too."""
        roles = {item.role for item in self.items}
        if not roles:
            return "text_to_video"
        if "last_frame" in roles:
            return "first_and_last_frame"
        return "first_frame" if "first_frame" in roles else "multimodal_reference"

    def first(self, role: str) -> MediaItem | None:
        """Find the first item in this role."""
        return next((item for item in self.items if item.role == role), None)

    @property
    def text_field(self) -> str:
        """Where the text stands, for messages."""
        return "prompt" if self.values.get("content") is None else "content[0]"


_RULES: list[tuple[frozenset[str], Callable[[Draft], None]]] = []


def _rule(*reads: str) -> Callable[[Callable[[Draft], None]], Callable[[Draft], None]]:
    def register(check: Callable[[Draft], None]) -> Callable[[Draft], None]:
        _RULES.append((frozenset(reads), check))
        return check

    return register


def apply_rules(draft: Draft, *, known: Collection[str] | None = None) -> None:
    """
    Hold a draft against every rule that can be decided.

    :param draft: The request.
    :param known: Parameters whose values are final; all of them when None.
    :raises SeedanceRequestError: By the first rule that is broken.
    """
    for reads, check in _RULES:
        if known is None or reads <= set(known):
            check(draft)


@_rule("prompt", *MEDIA)
def content_stands_alone(draft: Draft) -> None:
    """Raw content says everything: it takes no prompt and no media parameter beside it."""
    if draft.values.get("content") is None:
        return
    beside = [name for name in ("prompt", *FRAMES, *REFERENCES) if draft.values.get(name) not in (None, ())]
    if beside:
        refuse("content", f"stands beside {' and '.join(beside)}", "Use either raw content or those parameters")


@_rule(*MEDIA)
def frames_and_references_exclude_each_other(draft: Draft) -> None:
    """First frame, first and last frame, and multimodal reference are exclusive modes (contract 1.2)."""
    frames = [item for item in draft.items if item.role in FRAME_PARAMETERS]
    references = [item for item in draft.items if item.role not in FRAME_PARAMETERS]
    if frames and references:
        refuse(
            frames[0].parameter,
            f"cannot go with {_listed(references)}" + (f", nor can {_listed(frames[1:])}" if frames[1:] else ""),
            "Give either frames or references; an image can be a reference too",
        )


def _listed(items: Sequence[MediaItem]) -> str:
    """Name the parameters that items came from, each once; raw items with their roles."""
    labels = (f"{item.name} ({item.role})" if item.is_raw else item.parameter for item in items)
    return " and ".join(dict.fromkeys(labels))


@_rule(*MEDIA)
def each_frame_comes_once(draft: Draft) -> None:
    """Only raw content can name two first or two last frames."""
    seen: set[str] = set()
    for item in draft.items:
        if item.role in FRAME_PARAMETERS and item.role in seen:
            refuse(item.name, f"is a second {item.role}", "Give one first_frame and at most one last_frame")
        seen.add(item.role)


@_rule("first_frame", "last_frame", "content")
def last_frame_needs_a_first(draft: Draft) -> None:
    """The service has no mode with a last frame alone (contract 1.2)."""
    last = draft.first("last_frame")
    if last and not draft.first("first_frame"):
        refuse(last.name, "has no first_frame beside it", "Add a first_frame, or use the image as first_frame")


@_rule(*MEDIA)
def audio_is_never_alone(draft: Draft) -> None:
    """Sound needs a picture to go with (contract 1.2)."""
    if draft.items and all(item.kind == "audio" for item in draft.items):
        refuse(draft.items[0].parameter, "is the only media", "Add a reference image or a reference video")


@_rule("web_search", *MEDIA)
def web_search_goes_with_text_only(draft: Draft) -> None:
    """The search tool works for text-to-video alone (contract 1.1)."""
    if draft.values["web_search"] and draft.items:
        refuse(
            "web_search",
            f"works with text only, and there is {draft.items[0].parameter}",
            "Set web_search to False or leave out the media",
        )


@_rule("prompt", *MEDIA)
def there_is_something_to_go_by(draft: Draft) -> None:
    """Text-to-video needs the text."""
    if draft.prompt is None and not draft.items:
        field = "prompt" if draft.values.get("content") is None else "content"
        refuse(field, "is missing and there is no media", "Describe the video in prompt, or give a first frame")


@_rule("prompt", *MEDIA)
def placeholders_point_at_media(draft: Draft) -> None:
    """``@image2`` needs a second image, counted by kind in the order sent (contract 1.2)."""
    counts = Counter(item.kind for item in draft.items)
    for found in placeholders(draft.prompt or ""):
        have = counts[found.kind]
        if not 1 <= found.number <= have:
            there = f"{have} of kind {found.kind}" if have else f"none of kind {found.kind}"
            refuse(
                draft.text_field,
                f"names @{found.kind}{found.number}, and of the media given there is {there}",
                f"Number placeholders from 1 within each kind, or give the missing {found.kind}",
            )


@_rule("model", "resolution")
def resolution_is_in_the_models_table(draft: Draft) -> None:
    """Each model has its own resolutions (contract 1.4)."""
    _one_of(draft, "resolution", "resolutions")


@_rule("model", "ratio")
def ratio_is_in_the_models_table(draft: Draft) -> None:
    """The ratios of the vendor's table, or ``adaptive`` (contract 1.1)."""
    _one_of(draft, "ratio", "ratios")


def _one_of(draft: Draft, name: str, column: str) -> None:
    model = draft.values.get("model")
    table = limits.limits_of(model)
    if table is None:
        return
    allowed = getattr(table, column)
    if draft.values[name] not in allowed:
        whose = model or "a known model"
        refuse(name, f"is {shown(draft.values[name])}, none of {whose}'s", f"Choose {', '.join(allowed)}")


@_rule("model", "duration")
def duration_is_within_the_models_bounds(draft: Draft) -> None:
    """Each model makes videos of so many seconds (contract 1.4)."""
    model = draft.values.get("model")
    table = limits.limits_of(model)
    if table and not table.min_duration <= draft.values["duration"] <= table.max_duration:
        refuse(
            "duration",
            f"is {draft.values['duration']}",
            f"{model or 'A known model'} makes {table.min_duration} to {table.max_duration} seconds",
        )


def warnings_of(draft: Draft) -> tuple[str, ...]:
    """
    Say what is doubtful about a request that breaks no rule.

    :param draft: The whole request.
    :return: Sentences for a log, without any of the prompt.
    """
    found = (check(draft) for check in (_unknown_model, _no_text, _long_prompt, _unnamed_media))
    return tuple(sentence for sentence in found if sentence)


def _unknown_model(draft: Draft) -> str | None:
    model = draft.values["model"]
    if limits.limits_of(model):
        return None
    return (
        f"model {shown(model)} is not known here ({', '.join(limits.MODELS)} are): "
        "its resolution, ratio and duration are sent unchecked."
    )


def _no_text(draft: Draft) -> str | None:
    if draft.prompt is not None:
        return None
    return "There is no prompt: the video follows the media alone, and some gateways insist on a text item."


def _long_prompt(draft: Draft) -> str | None:
    words, chinese = count_length(draft.prompt or "")
    if words <= limits.MAX_PROMPT_WORDS and chinese <= limits.MAX_PROMPT_CHINESE:
        return None
    return (
        f"{draft.text_field} has {words} words and {chinese} Chinese characters; above {limits.MAX_PROMPT_WORDS} words "
        f"or {limits.MAX_PROMPT_CHINESE} Chinese characters the service may lose details."
    )


def _unnamed_media(draft: Draft) -> str | None:
    if draft.prompt is None or draft.mode != "multimodal_reference":
        return None
    named = {(found.kind, found.number) for found in placeholders(draft.prompt) if found.exact}
    numbers: Counter[str] = Counter()
    unnamed = []
    for item in draft.items:
        numbers[item.kind] += 1
        if (item.kind, numbers[item.kind]) not in named:
            unnamed.append(f"{item.name} (@{item.kind}{numbers[item.kind]})")
    return f"No placeholder of the prompt names {', '.join(unnamed)}." if unnamed else None
