"""What makes two requests the same."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from airflow_provider_seedance.api.request import GenerationRequest, fingerprint

FILE = "https://bucket.example.com/a/cat.png"
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 400).decode()


def of(**arguments: Any) -> str:
    return fingerprint(GenerationRequest(**arguments), "seedance_default")


@pytest.mark.parametrize(
    ("once", "again"),
    [
        (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A&X-Amz-Date=1&X-Amz-Expires=60&X-Amz-SignedHeaders=host"
            "&X-Amz-Security-Token=t&X-Amz-Signature=aa",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=B&X-Amz-Date=2&X-Amz-Expires=90&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=bb",
        ),
        ("x-tos-algorithm=t&x-tos-date=1&x-tos-expires=9&x-tos-signature=aa", "X-Tos-Date=2&X-Tos-Signature=bb"),
        ("X-Goog-Credential=a&X-Goog-Date=1&X-Goog-Signature=aa", "X-Goog-Date=2&X-Goog-Signature=bb"),
        ("x-oss-signature-version=OSS4&x-oss-date=1&x-oss-signature=aa", "x-oss-date=2&x-oss-signature=bb"),
        ("AWSAccessKeyId=A&Expires=1&Signature=aa", "AWSAccessKeyId=B&Signature=bb&Expires=2"),
        ("OSSAccessKeyId=A&Expires=1&Signature=aa&security-token=q", "OSSAccessKeyId=A&Expires=2&Signature=bb"),
        ("GoogleAccessId=A&Expires=1&Signature=aa", "GoogleAccessId=A&Expires=2&Signature=bb"),
        ("Expires=1&Signature=aa&Key-Pair-Id=K", "Policy=p&Signature=bb&Key-Pair-Id=K"),
        ("sv=2024&st=1&se=2&sr=b&sp=r&spr=https&sig=aa", "sv=2025&se=3&sr=b&sp=r&sig=bb&skoid=1&sktid=2"),
        (
            "q-sign-algorithm=sha1&q-ak=A&q-sign-time=1;2&q-key-time=1;2&q-header-list=&q-url-param-list=&q-signature=a",
            "q-sign-algorithm=sha1&q-ak=A&q-sign-time=3;4&q-key-time=3;4&q-header-list=&q-url-param-list=&q-signature=b",
        ),
        ("auth_key=1-0-0-aa", "auth_key=2-0-0-bb"),
        ("x-expires=1&x-signature=aa", "x-expires=2&x-signature=bb"),
        ("e=1&token=k:aa", "e=2&token=k:bb"),
        ("authorization=bce-auth-v1/k/2026-04-27T11:15:06Z/60/host/aa", "authorization=bce-auth-v1/k/x/60/host/bb"),
        ("ex=1&is=1&hm=aa", "ex=2&is=2&hm=bb"),
        ("hdnts=exp=1~acl=/*~hmac=aa", "hdnts=exp=2~acl=/*~hmac=bb"),
        ("__token__=exp=1~hmac=aa", "__token__=exp=2~hmac=bb"),
    ],
)
@pytest.mark.parametrize("place", ["first_frame", "reference_images", "content", "extra_body"])
def test_fingerprint_stays_when_only_the_signature_of_a_link_changes(once: str, again: str, place: str) -> None:
    def arguments(query: str) -> dict[str, Any]:
        link = f"{FILE}?versionId=7&{query}#t=1"
        if place == "content":
            item = {"type": "image_url", "image_url": {"url": link}, "role": "first_frame"}
            return {"content": [{"type": "text", "text": "A cat"}, item]}
        value: Any = {"callback_url": [link]} if place == "extra_body" else link
        return {"prompt": "A cat", place: value}

    assert of(**arguments(once)) == of(**arguments(again))
    assert of(**arguments(once)) != of(**arguments(once.replace("&", "&x=1&", 1) + "&x=1"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{FILE}?versionId=1", f"{FILE}?versionId=2"),
        (f"{FILE}?x-oss-process=image/resize,w_1&x-oss-signature=a", f"{FILE}?x-oss-signature=a"),
        (f"{FILE}?generation=1&X-Goog-Signature=a", f"{FILE}?generation=2&X-Goog-Signature=a"),
        (f"{FILE}?expires=1", f"{FILE}?expires=2"),
        (f"{FILE}?sv=1", f"{FILE}?sv=2"),
        (f"{FILE}#t=1", f"{FILE}#t=2"),
        (FILE, FILE.replace("cat", "dog")),
        (PNG, PNG.replace("AAAA", "AAAB", 1)),
        ("/data/a.png", "/data/b.png"),
    ],
)
def test_fingerprint_changes_with_what_tells_files_apart(one: str, other: str) -> None:
    assert of(first_frame=one) != of(first_frame=other)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "A dog"},
        {"model": "seedance-2.0-ultra"},
        {"resolution": "1080p"},
        {"ratio": "1:1"},
        {"duration": 6},
        {"generate_audio": False},
        {"watermark": True},
        {"web_search": True},
        {"return_last_frame": True},
        {"seed": 0},
        {"extra_body": {"priority": 1}},
    ],
)
def test_fingerprint_changes_with_every_parameter(change: dict[str, Any]) -> None:
    assert of(**{"prompt": "A cat", **change}) != of(prompt="A cat")


def test_fingerprint_changes_with_the_connection() -> None:
    request = GenerationRequest(prompt="A cat")

    assert fingerprint(request, "one") != fingerprint(request, "two")


def test_fingerprint_does_not_depend_on_how_a_value_was_written() -> None:
    assert of(prompt="A cat", duration="5", reference_images=FILE, extra_body={"a": 1, "b": 2}) == of(
        prompt="A cat", duration=5, reference_images=[FILE], extra_body={"b": 2, "a": 1}
    )


def test_canonical_form_holds_no_signature_and_no_payload() -> None:
    text = GenerationRequest(reference_images=[PNG, f"{FILE}?X-Amz-Signature=secret&X-Amz-Credential=me"]).canonical()

    assert "secret" not in text
    assert "AAAA" not in text
    assert "sha256:" in text


def test_link_in_a_prompt_is_part_of_the_prompt() -> None:
    assert of(prompt=f"{FILE}?Signature=a") != of(prompt=f"{FILE}?Signature=b")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(
            {"prompt": "A cat"}, "7ee3f9bc0d6141a2307d7610158f19851fe8de4a31fbdefc5fc5433e22c8f573", id="defaults"
        ),
        pytest.param(
            {
                "prompt": "参考@image1 \ud800",
                "model": "seedance-2.0-ultra",
                "resolution": "2K",
                "ratio": "9:16",
                "duration": "8",
                "generate_audio": "false",
                "watermark": True,
                "return_last_frame": True,
                "seed": "7",
                "reference_images": [
                    f"{FILE}?versionId=7&X-Amz-Credential=a&X-Amz-Signature=b",
                    PNG,
                    "s3://lake@b/k.png",
                ],
                "reference_videos": "ASSET://a-1",
                "reference_audios": ["/data/a.wav"],
                "extra_body": {"priority": 1, "callback": [f"{FILE}?Signature=s&Expires=9"]},
            },
            "fae75d667a43e58304e94cdc5bda431dc834ba81b1888d8b7721486348749603",
            id="every-parameter",
        ),
        pytest.param(
            {"prompt": "The latest news", "web_search": True, "seed": -1},
            "55ead5aec407fae886647b98f6138f0fb1709c595dacd66258e9810036acc971",
            id="web-search",
        ),
        pytest.param(
            {"first_frame": " /data/a.png ", "last_frame": "asset://b"},
            "4f9c17788ca0c85b356283f95b1851dbef881efdc38fdc2bd22e6037a543770a",
            id="frames",
        ),
        pytest.param(
            {
                "content": [
                    {"type": "text", "text": "@image1 jumps"},
                    {
                        "type": "image_url",
                        "image_url": {"url": f"{FILE}?sig=1&sv=2", "detail": "high"},
                        "role": "reference_image",
                        "weight": 0.5,
                    },
                ]
            },
            "1ee45c7b3b4026e52819851b8dc178de8976df40207fb70a5aba1662fd704d32",
            id="raw-content",
        ),
    ],
)
def test_fingerprint_is_a_sha256_that_later_versions_must_keep(arguments: dict[str, Any], expected: str) -> None:
    assert of(**arguments) == expected


def test_fingerprint_stays_when_supabase_signs_a_link_anew_and_only_then() -> None:
    signed = "https://p.supabase.co/storage/v1/object/sign/b/cat.png?token={}"
    other = "https://example.com/get?token={}"
    assert of(first_frame=signed.format("a.b.c"), prompt="x") == of(first_frame=signed.format("d.e.f"), prompt="x")
    assert of(first_frame=other.format("a"), prompt="x") != of(first_frame=other.format("b"), prompt="x")


def test_edited_default_model_is_no_other_request() -> None:
    assert of(prompt="x", model="seedance-2.0-fast", model_is_given=False) == of(prompt="x")
    assert of(prompt="x", model="seedance-2.0-fast") != of(prompt="x")
