from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_seedance.api.links import LinkRefusedError, link_expiry, read_link_answer

SIGNED_AT = 1777288506  # 2026-04-27T11:15:06Z


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://b.example/v.mp4?X-Tos-Date=20260427T111506Z&X-Tos-Expires=86400&X-Tos-Signature=x",
            SIGNED_AT + 86400,
        ),
        ("https://b.example/v.mp4?X-Amz-Date=20260427T111506Z&X-Amz-Expires=3600", SIGNED_AT + 3600),
        ("https://b.example/v.mp4?x-goog-date=20260427T111506Z&x-goog-expires=60", SIGNED_AT + 60),
        ("https://b.example/v.mp4?Expires=1777300000&Signature=x", 1777300000),
        ("https://b.example/v.mp4?q-sign-time=1777288506;1777299999", 1777299999),
        ("https://b.example/v.mp4?x-expires=1777300000&x-signature=x", 1777300000),
        ("https://b.example/v.mp4?auth_key=1777300000-0-0-x", 1777300000),
        ("https://b.example/v.mp4?e=1777300000&token=k:x", 1777300000),
        ("https://b.example/v.mp4?ex=69ef4596&is=1&hm=x", 0x69EF4596),
        ("https://b.example/v.mp4?hdnts=st=1~exp=1777300000~hmac=x", 1777300000),
        ("https://b.example/v.mp4?se=2026-04-27T11:15:06Z&sig=x", SIGNED_AT),
        ("https://b.example/v.mp4?se=2026-04-27&sig=x", SIGNED_AT - 40506),
        ("https://b.example/v.mp4?authorization=bce-auth-v1/k/2026-04-27T11:15:06Z/1800/host/x", SIGNED_AT + 1800),
        ("https://b.example/v.mp4?authorization=bce-auth-v1/k/soon/1800/host/x", None),
        ("https://b.example/v.mp4?expires=86400", None),
        ("https://b.example/v.mp4?e=1777300000", None),
        ("https://b.example/v.mp4?se=soon&sig=x", None),
        ("https://b.example/v.mp4?ex=never&hm=x", None),
        ("https://b.example/v.mp4", None),
        ("https://b.example/v.mp4?X-Tos-Date=yesterday&X-Tos-Expires=86400", None),
        ("https://b.example/v.mp4?Expires=never", None),
        ("https://[broken", None),
    ],
)
def test_expiry_is_read_from_the_signature(url: str, expected: float | None) -> None:
    assert link_expiry(url) == expected


# -- the storage's response


@pytest.mark.parametrize(
    ("status", "headers", "start", "expected"),
    [
        (200, {"Content-Length": "10", "ETag": '"a"'}, 0, (10, 0, '"a"')),
        (200, {}, 0, (None, 0, None)),
        (200, {"Content-Length": "10"}, 4, (10, 4, None)),
        (206, {"Content-Range": "bytes 4-9/10", "Content-Length": "6"}, 4, (10, 0, None)),
        (206, {"Content-Range": "bytes 4-9/*"}, 4, (None, 0, None)),
    ],
)
def test_response_is_read(status: int, headers: dict[str, str], start: int, expected: tuple[Any, ...]) -> None:
    answer = read_link_answer(status, headers, start=start)
    assert (answer.size, answer.skip, answer.etag) == expected


@pytest.mark.parametrize("status", [403, 404, 410, 416, 500, 503, 301, 204])
def test_response_without_a_file_is_refused(status: int) -> None:
    with pytest.raises(LinkRefusedError, match=str(status)) as caught:
        read_link_answer(status, {}, start=0)
    assert caught.value.status == status


@pytest.mark.parametrize("part", ["bytes 3-9/10", "bytes */10", "", "items 4-9/10"])
def test_part_that_was_not_requested_is_refused(part: str) -> None:
    with pytest.raises(LinkRefusedError, match="another part"):
        read_link_answer(206, {"Content-Range": part}, start=4)
