"""What comments cite exists: every reference to a page for contributors names a heading of that page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DEV = CHECKOUT / "docs" / "dev"

#: Where references may be found.
FOLDERS = ("airflow_provider_seedance", "tests", "tools", "benchmarks", "example_dags", "docs", ".ci")
SUFFIXES = {".py", ".md", ".toml", ".sh", ".json", ".js", ".html", ".in", ""}
FILES = sorted(
    file
    for folder in FOLDERS
    for file in (CHECKOUT / folder).rglob("*")
    if file.is_file() and file.suffix in SUFFIXES and "__pycache__" not in file.parts
)
FILES += [CHECKOUT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml")]

REFERENCE = re.compile(r"\b(contract|decisions)\.md#([\w-]+)")
#: A page and a section number that no reader has.
NUMBERED = re.compile(r"\b(?:contract|design)[\s#*]+[0-9]", re.IGNORECASE)

#: What code may cite, and so what must not be renamed without its references.
ANCHORS = {
    "contract": """
        common-rules create-request content-rules output-pixels models create-response query-response status-words
        polling-and-link-life error-envelopes http-status upstream-codes failure-text asset-not-ready assets
        create-asset-group create-asset get-asset list-assets other-asset-routes tokens-and-price upstream
        open-questions downloads
        """,
    "decisions": """
        layout calls-as-data paying-once assets-paid-once waiting deferral shared-client time files secrets
        errors-and-retries requests telemetry tried-and-left
        """,
}


def headings_of(page: str) -> Iterator[str]:
    """Find the headings of a page, without what only looks like one inside a block of code."""
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"^#{1,6} +(.+?) *$", prose, re.MULTILINE)


def slugs_of(page: str) -> list[str]:
    """Name the headings of a page as GitHub does: a slug that was there already gets a number."""
    seen: Counter[str] = Counter()
    slugs = []
    for heading in headings_of(page):
        slug = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        slugs.append(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return slugs


PAGES = {name: slugs_of((DEV / f"{name}.md").read_text()) for name in ANCHORS}


@dataclass(frozen=True)
class Place:
    """Where a text was found."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(CHECKOUT)}:{self.line}: {self.text!r}"


def found_in(file: Path, pattern: re.Pattern[str]) -> list[Place]:
    text = file.read_text()
    return [Place(file, text.count("\n", 0, found.start()) + 1, found[0]) for found in pattern.finditer(text)]


def dangling(text: str) -> list[str]:
    """Return the references in a text that lead nowhere."""
    return [found[0] for found in REFERENCE.finditer(text) if found[2] not in PAGES[found[1]]]


def test_files_are_found() -> None:
    folders = {file.relative_to(CHECKOUT).parts[0] for file in FILES}
    assert folders >= {"airflow_provider_seedance", "tests", "tools", "benchmarks", "example_dags", "docs", "README.md"}


def test_slugs_are_those_of_github() -> None:
    page = "# Create a *task*\n## HTTP status\n```\n# no heading\n```\n## `a_b`, c & d!\n## HTTP status\n#hashtag\n"
    assert slugs_of(page) == ["create-a-task", "http-status", "a_b-c--d", "http-status-1"]
    assert "create-response" in PAGES["contract"]
    assert "paying-once" in PAGES["decisions"]


@pytest.mark.parametrize("page", ANCHORS)
def test_page_has_every_anchor_that_code_may_cite(page: str) -> None:
    assert set(ANCHORS[page].split()) - set(PAGES[page]) == set()
    assert len(PAGES[page]) == len(set(PAGES[page]))


def test_a_reference_to_nowhere_is_noticed() -> None:
    nowhere = f"contract.md{'#'}no-such-heading"
    assert dangling(f"See decisions.md#waiting and {nowhere}.") == [nowhere]


def test_references_lead_to_headings() -> None:
    places = [place for file in FILES for place in found_in(file, REFERENCE)]
    assert places
    assert [str(place) for place in places if dangling(place.text)] == []


@pytest.mark.parametrize("page", sorted(DEV.glob("*.md")), ids=lambda page: page.name)
def test_links_of_the_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for target in targets:
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in slugs_of(file.read_text()), target


def test_numbered_references_are_noticed() -> None:
    for text in ("(contract {}.10)", "Design {}", "contract\n# {}", "#: see design {}, row 2"):
        assert NUMBERED.search(text.format(8))
    assert not NUMBERED.search("the contract, 8 rules; a design of 2026")


def test_no_comment_cites_a_section_number() -> None:
    places = [place for file in FILES for place in found_in(file, NUMBERED)]
    assert [str(place) for place in places] == []
