"""The button "Seedance video" on the pages of a real Airflow, clicked in a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.s3 import BUCKET
from tools.local_airflow import SCRATCH

if TYPE_CHECKING:
    from tests.e2e.conftest import Run, Stage

#: Milliseconds that a page may take on a busy machine.
PATIENCE = 30_000

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is not installed. On Debian: tools/install_system_packages.sh"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(stage: Stage, browser: Browser) -> Iterator[Page]:
    """A page of someone who has logged in."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(stage.airflow.url)
    page.get_by_label("Username").fill(stage.airflow.username)
    page.get_by_label("Password", exact=True).fill(stage.airflow.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Dags").first).to_be_visible(timeout=PATIENCE)
    yield page
    context.close()


def link_on_page_of(task_id: str, page: Page, stage: Stage, run: Run) -> Locator:
    """Open a task instance's page, turn to its details, and return the button, once it is there."""
    page.goto(f"{stage.airflow.url}/dags/seedance_text_to_video/runs/{quote(run.run_id, safe='')}/tasks/{task_id}")
    page.get_by_role("link", name="Details").click()
    link = page.get_by_role("link", name="Seedance video")
    try:
        expect(link).to_be_visible(timeout=PATIENCE)
    finally:
        page.screenshot(path=SCRATCH / "e2e" / f"extra_link_{task_id}.png")
    return link


def test_generate_leads_to_the_video_itself(page: Page, stage: Stage, run: Run) -> None:
    link = link_on_page_of("generate", page, stage, run)
    url = run.generated["video_url"]
    assert url.startswith(f"{stage.emulator.url}/files/{run.generated['generation_id']}/video.mp4?")
    with (
        page.context.expect_event("response", lambda response: response.url == url) as answered,
        page.expect_popup() as opened,
    ):
        link.click()
    answer, tab = answered.value, opened.value
    assert (answer.status, answer.headers["content-type"]) == (200, "video/mp4")
    assert page.context.request.get(url).body()[4:8] == b"ftyp"
    tab.wait_for_function("document.querySelector('video')?.currentTime > 0")  # it plays
    shown = tab.locator("video").evaluate("video => [video.videoWidth, video.videoHeight, video.duration]")
    tab.screenshot(path=SCRATCH / "e2e" / "extra_link_video.png")
    tab.close()
    assert shown == [1280, 720, pytest.approx(5, abs=0.1)]


def test_save_leads_to_where_the_video_is_stored(page: Page, stage: Stage, run: Run, s3: Any) -> None:
    # Amazon's console asks for a login that nobody here has
    page.context.route("https://console.aws.amazon.com/**", lambda route: route.fulfill(body="the console"))
    link = link_on_page_of("save", page, stage, run)
    with page.expect_popup() as opened:
        link.click()
    tab = opened.value
    tab.get_by_text("the console").wait_for()
    asked = urlsplit(tab.url)
    tab.close()
    assert (asked.netloc, asked.path) == ("console.aws.amazon.com", f"/s3/object/{BUCKET}")
    (key,) = parse_qs(asked.query)["prefix"]
    assert run.saved["path"].endswith(f"{BUCKET}/{key}")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(8)[4:] == b"ftyp"
