"""What can be read off a prompt: its length in the vendor's units, and the media it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_seedance.api.media import MediaKind

#: Ideographs: the basic block, its extensions, the compatibility blocks, and the zero that stands apart. Compiled when
#: first used, since it takes 3 ms that a Dag need not spend when it is parsed.
_CHINESE = r"[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_PLACEHOLDER = re.compile(r"@(image|video|audio)([0-9]+)", re.IGNORECASE)
#: More digits than any number of media has; longer ones need not be read as numbers.
_MAX_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Placeholder:
    """
    One ``@image1`` of a prompt.

    :param kind: What it names.
    :param number: From 1, by kind, in the order of the content array (contract 1.2).
    :param exact: It is written as the vendor writes it, in lower case.
    """

    kind: MediaKind
    number: int
    exact: bool


def placeholders(prompt: str) -> Iterator[Placeholder]:
    """
    Find the placeholders of a prompt.

    :param prompt: The text item.
    :return: Each in turn, those in capitals too.
    """
    kinds: dict[str, MediaKind] = {"image": "image", "video": "video", "audio": "audio"}
    for match in _PLACEHOLDER.finditer(prompt):
        number = int(match[2]) if len(match[2]) <= _MAX_DIGITS else 10**_MAX_DIGITS
        yield Placeholder(kinds[match[1].lower()], number, match[1].islower())


def count_length(prompt: str) -> tuple[int, int]:
    """
    Count a prompt in the vendor's two units (contract 1.1).

    :param prompt: The text item, in any mixture of languages.
    :return: Words, and Chinese characters. An ideograph is a Chinese character and never part of a word; a word is
        what stands between blanks and ideographs and holds a letter or a digit.
    """
    rest, chinese = re.subn(_CHINESE, " ", prompt)
    words = sum(1 for word in rest.split() if any(character.isalnum() for character in word))
    return words, chinese
