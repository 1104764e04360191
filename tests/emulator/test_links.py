from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator
from tests.emulator.conftest import Client

FIELDS = {"resolution": "480p", "ratio": "1:1", "duration": 4, "generate_audio": False}


@pytest.fixture
def generation_id(client: Client) -> str:
    return client.generate(**FIELDS)


@pytest.fixture
def link(client: Client, generation_id: str) -> str:
    return str(client.task(generation_id)["result_url"])


def test_link_carries_signature_and_expiry(link: str) -> None:
    query = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    assert query["X-Tos-Algorithm"] == "TOS4-HMAC-SHA256"
    assert query["X-Tos-Expires"] == "43200"
    assert len(query["X-Tos-Date"]) == len("20260427T111505Z")
    assert len(query["X-Tos-Signature"]) == 64


def test_link_needs_no_key_and_requests_show_that_none_was_sent(emulator: Emulator, client: Client, link: str) -> None:
    assert requests.get(link, timeout=30).status_code == 200
    download = emulator.requests()[-1]
    assert download["route"] == "download"
    assert "authorization" not in download["headers"]
    assert "X-Tos-Signature" not in str(download)


def test_key_is_not_kept_in_the_requests_list(emulator: Emulator, client: Client) -> None:
    client.generate()
    assert emulator.requests()[-1]["headers"]["authorization"] == "Bearer ***"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda link: link[:-1] + ("0" if link[-1] != "0" else "1"),
        lambda link: link.replace("X-Tos-Expires=43200", "X-Tos-Expires=99999"),
        lambda link: link.replace("/video.mp4", "/last_frame.png"),
        lambda link: link.partition("?")[0],
        lambda link: link + "&more=1",
        lambda link: link.partition("?")[0] + "?X-Tos-Signature=%C3%A9",
    ],
)
def test_tampered_link_is_403_with_an_xml_body(link: str, spoil: Callable[[str], str]) -> None:
    answer = requests.get(spoil(link), timeout=10)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert "<Code>" in answer.text


def test_expired_link_is_403_and_the_next_query_gives_a_good_one(
    emulator: Emulator, client: Client, generation_id: str, link: str
) -> None:
    emulator.expire_links()
    expired = requests.get(link, timeout=10)
    assert expired.status_code == 403
    assert "expired" in expired.text
    assert requests.get(client.task(generation_id)["result_url"], timeout=30).status_code == 200


def test_link_dies_after_its_ttl() -> None:
    with Emulator(speed=float("inf"), link_ttl=0) as emulator:
        headers = {"Authorization": f"Bearer {emulator.api_key}"}
        body = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a"}]}
        url = f"{emulator.url}/v1/video/generations"
        generation_id = requests.post(url, json=body, headers=headers, timeout=10).json()["id"]
        task = requests.get(f"{url}/{generation_id}", headers=headers, timeout=10).json()["data"]
        assert requests.get(task["result_url"], timeout=10).status_code == 403


def test_head_answers_length_and_type_without_a_body(link: str) -> None:
    whole = requests.get(link, timeout=30)
    head = requests.head(link, timeout=30)
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.headers["Content-Type"] == "video/mp4"
    assert head.headers["ETag"] == whole.headers["ETag"]


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-50", slice(-50, None)),
        ("bytes=10-99999999", slice(10, None)),
    ],
)
def test_range_answers_the_part(link: str, asked: str, part: slice) -> None:
    whole = requests.get(link, timeout=30).content
    answer = requests.get(link, headers={"Range": asked}, timeout=30)
    assert answer.status_code == 206
    assert answer.content == whole[part]
    start, stop, _ = part.indices(len(whole))
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"


def test_range_past_the_end_is_416(link: str) -> None:
    size = len(requests.get(link, timeout=30).content)
    answer = requests.get(link, headers={"Range": f"bytes={size}-"}, timeout=30)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{size}"


def test_range_is_not_given_when_the_file_is_another_one(link: str) -> None:
    answer = requests.get(link, headers={"Range": "bytes=5-", "If-Range": '"other"'}, timeout=30)
    assert answer.status_code == 200
