"""What a client received: a key that the service repeats is in no text of it."""

from __future__ import annotations

import json

import pytest

from airflow_provider_seedance.api.response import Response

KEY = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"token {KEY} is invalid", "token [redacted] is invalid"),
        (f"https://host/docs says: token {KEY} is invalid", "https://host/docs says: token [redacted] is invalid"),
        (f"https://host/v.mp4?x={KEY}", f"https://host/v.mp4?x={KEY}"),
    ],
)
def test_key_is_taken_out_of_all_but_links(text: str, kept: str) -> None:
    response = Response.of(400, json.dumps({"message": text}).encode(), {}, conn_id="c", key=KEY)
    assert response.body == {"message": kept}
