from __future__ import annotations

import pytest

from airflow_provider_seedance.api.links import link_expiry

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
        ("https://b.example/v.mp4", None),
        ("https://b.example/v.mp4?X-Tos-Date=yesterday&X-Tos-Expires=86400", None),
        ("https://b.example/v.mp4?Expires=never", None),
        ("https://[broken", None),
    ],
)
def test_expiry_is_read_from_the_signature(url: str, expected: float | None) -> None:
    assert link_expiry(url) == expected
