"""
The rules that hold between parameters, each a small function with its own message.

A rule is listed with the parameters that it reads. A whole request is checked against all rules. When a Dag is parsed,
some parameters are templates whose values are not known yet: only the rules that do not read those are checked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_seedance.api import limits
from airflow_provider_seedance.api.content import MEDIA_PARAMETERS, Content, MediaItem, read_content
from airflow_provider_seedance.api.values import refuse, shown

#: Ideographs: the basic block, its extensions, the compatibility blocks, and the separate zero. Compiled when first
#: used: it takes 3 ms, which parsing a Dag need not spend.
_CHINESE = r"[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_PLACEHOLDER = re.compile(r"@(image|video|audio)([0-9]+)", re.IGNORECASE)
#: More digits than any number of media has; longer ones need not be read as numbers.
_MAX_DIGITS = 6


def frames_and_references_exclude_each_other(values: Mapping[str, Any], content: Content) -> None:
    """Refuse a mixture of the service's exclusive modes (contract.md#content-rules)."""
    frames = [item for item in content.items if item.is_frame]
    references = [item for item in content.items if not item.is_frame]
    if frames and references:
        others = f", nor can {_listed(frames[1:])}" if frames[1:] else ""
        refuse(
            frames[0].parameter,
            f"cannot be combined with {_listed(references)}{others}",
            "Give either frames or references; an image can be a reference too",
        )


def _listed(items: Sequence[MediaItem]) -> str:
    """Name the parameters that items came from, each once; raw items with their roles."""
    labels = (f"{item.name} ({item.role})" if item.is_raw else item.parameter for item in items)
    return " and ".join(dict.fromkeys(labels))


def each_frame_comes_once(values: Mapping[str, Any], content: Content) -> None:
    """Refuse a second first or last frame, which only raw content can name."""
    seen: set[str] = set()
    for item in content.items:
        if item.is_frame and item.role in seen:
            refuse(item.name, f"is a second {item.role}", "Give one first_frame and at most one last_frame")
        seen.add(item.role)


def last_frame_needs_a_first(values: Mapping[str, Any], content: Content) -> None:
    """Refuse a last frame alone: the service has no such mode (contract.md#content-rules)."""
    roles = [item.role for item in content.items]
    if "last_frame" in roles and "first_frame" not in roles:
        name = content.items[roles.index("last_frame")].name
        refuse(name, "has no first_frame", "Add a first_frame, or use the image as first_frame")


def audio_is_never_alone(values: Mapping[str, Any], content: Content) -> None:
    """Refuse audio without an image or a video (contract.md#content-rules)."""
    if content.items and all(item.kind == "audio" for item in content.items):
        refuse(content.items[0].parameter, "is the only media", "Add a reference image or a reference video")


def web_search_goes_with_text_only(values: Mapping[str, Any], content: Content) -> None:
    """Refuse the search tool with media: it works for text-to-video only (contract.md#create-request)."""
    if values["web_search"] and content.items:
        refuse(
            "web_search",
            f"works with text only, and there is {content.items[0].parameter}",
            "Set web_search to False or omit the media",
        )


def there_is_text_or_media(values: Mapping[str, Any], content: Content) -> None:
    """Refuse text-to-video without text."""
    if content.text is None and not content.items:
        field = "prompt" if content.raw is None else "content"
        refuse(field, "is missing and there is no media", "Describe the video in prompt, or give a first frame")


def placeholders_point_at_media(values: Mapping[str, Any], content: Content) -> None:
    """Refuse ``@image2`` without a second image, counted by kind in the order sent (contract.md#content-rules)."""
    counts: Counter[str] = Counter(item.kind for item in content.items)
    for kind, number, _ in _placeholders(content.text or ""):
        if not 1 <= number <= counts[kind]:
            refuse(
                content.text_name,
                f"names @{kind}{number}, but the media given include {counts[kind] or 'none'} of kind {kind}",
                f"Number placeholders from 1 within each kind, or give the missing {kind}",
            )


def resolution_is_in_the_models_table(values: Mapping[str, Any], content: Content) -> None:
    """Refuse a resolution that the model does not offer (contract.md#models)."""
    if table := limits.limits_of(values["model"]):
        _check_choice("resolution", values, table.resolutions)


def ratio_is_in_the_models_table(values: Mapping[str, Any], content: Content) -> None:
    """Refuse a ratio that the model does not offer (contract.md#create-request)."""
    if table := limits.limits_of(values["model"]):
        _check_choice("ratio", values, table.ratios)


def _check_choice(name: str, values: Mapping[str, Any], allowed: Sequence[str]) -> None:
    if values[name] not in allowed:
        model = values["model"] or "any known model"
        refuse(name, f"is {shown(values[name])}, which {model} does not offer", f"Choose {', '.join(allowed)}")


def duration_is_within_the_models_bounds(values: Mapping[str, Any], content: Content) -> None:
    """Refuse a duration that the model does not offer (contract.md#models)."""
    table = limits.limits_of(values["model"])
    if table and not table.min_duration <= values["duration"] <= table.max_duration:
        model = values["model"] or "A known model"
        bounds = f"{table.min_duration} to {table.max_duration} seconds"
        refuse("duration", f"is {values['duration']}", f"{model} makes {bounds}")


_MEDIA = (*MEDIA_PARAMETERS, "content")
#: Every rule, with the parameters that it reads.
_RULES = (
    (frames_and_references_exclude_each_other, _MEDIA),
    (each_frame_comes_once, _MEDIA),
    (last_frame_needs_a_first, ("first_frame", "last_frame", "content")),
    (audio_is_never_alone, _MEDIA),
    (web_search_goes_with_text_only, ("web_search", *_MEDIA)),
    (there_is_text_or_media, ("prompt", *_MEDIA)),
    (placeholders_point_at_media, ("prompt", *_MEDIA)),
    (resolution_is_in_the_models_table, ("model", "resolution")),
    (ratio_is_in_the_models_table, ("model", "ratio")),
    (duration_is_within_the_models_bounds, ("model", "duration")),
)


def check_rules(values: Mapping[str, Any]) -> Content:
    """
    Check every rule whose parameters are all known.

    :param values: The parameters whose values are final, each checked already; ``model`` is None while it is the
        connection's.
    :returns: The text and the media in them.
    :raises SeedanceRequestError: By the first rule that is broken.
    """
    content = read_content(values)
    for rule, reads in _RULES:
        if values.keys() >= set(reads):
            rule(values, content)
    return content


def warnings_of(model: str, content: Content) -> tuple[str, ...]:
    """
    List what is doubtful about a request that breaks no rule.

    :returns: Sentences for a log, without any of the prompt.
    """
    found = []
    if not limits.limits_of(model):
        found.append(
            f"model {shown(model)} is not known here ({', '.join(limits.MODELS)} are): "
            "its resolution, ratio and duration are sent unchecked."
        )
    if content.text is None:
        found.append("There is no prompt: the video follows the media alone, and some gateways insist on a text item.")
        return tuple(found)
    words, chinese = _count_length(content.text)
    if words > limits.MAX_PROMPT_WORDS or chinese > limits.MAX_PROMPT_CHINESE:
        found.append(
            f"{content.text_name} has {words} words and {chinese} Chinese characters; above "
            f"{limits.MAX_PROMPT_WORDS} words or {limits.MAX_PROMPT_CHINESE} Chinese characters the service may lose "
            "details."
        )
    if unnamed := _unnamed_media(content):
        found.append(f"No placeholder of the prompt names {', '.join(unnamed)}.")
    return tuple(found)


def _unnamed_media(content: Content) -> list[str]:
    if content.mode != "multimodal_reference":
        return []
    named = {(kind, number) for kind, number, exact in _placeholders(content.text or "") if exact}
    numbers: Counter[str] = Counter()
    unnamed = []
    for item in content.items:
        numbers[item.kind] += 1
        if (item.kind, numbers[item.kind]) not in named:
            unnamed.append(f"{item.name} (@{item.kind}{numbers[item.kind]})")
    return unnamed


def _placeholders(prompt: str) -> Iterator[tuple[str, int, bool]]:
    """Find each ``@image1``: its kind, its number, and whether it is in lower case as the vendor writes it."""
    for match in _PLACEHOLDER.finditer(prompt):
        number = int(match[2]) if len(match[2]) <= _MAX_DIGITS else 10**_MAX_DIGITS
        yield match[1].lower(), number, match[1].islower()


def _count_length(prompt: str) -> tuple[int, int]:
    """
    Count words and Chinese characters, the vendor's two units (contract.md#create-request).

    An ideograph is a Chinese character and never part of a word; a word is whatever blanks and ideographs separate that
    has a letter or a digit.
    """
    rest, chinese = re.subn(_CHINESE, " ", prompt)
    words = sum(1 for word in rest.split() if any(character.isalnum() for character in word))
    return words, chinese
