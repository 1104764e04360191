from __future__ import annotations

import pytest

from airflow_provider_seedance.api.redact import MAX_QUOTED, redact, without_credentials, without_secrets


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("see https://bucket.example/v.mp4?X-Tos-Signature=abc123&X-Tos-Date=1 now", "abc123"),
        ("https://user:hunter22@proxy.example/x", "hunter22"),
        ("image data:image/png;base64,iVBORw0KGgoAAAANSUhEUg== is bad", "iVBORw0KGgo"),
        ("Authorization: Bearer abcdefghijklmnop.q-r", "abcdefghijklmnop"),
        ("key sk-1234567890abcdefgh was refused", "1234567890abcdefgh"),
        ("cut link v.mp4&X-Amz-Signature=feedbeef&x=1", "feedbeef"),
        ("payload " + "QUJD" * 80, "QUJDQUJD"),
    ],
)
def test_secret_forms_are_taken_out(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_given_secrets_are_taken_out_wherever_they_stand() -> None:
    assert redact("the prompt 'a cat in a hat' is bad", secrets=["a cat in a hat"]) == "the prompt '[redacted]' is bad"


def test_longer_secret_goes_first_so_that_none_of_it_is_left() -> None:
    secrets = ["a cat", "cat in", "a cat in a hat", "zzzz"]
    assert redact("said 'a cat in a hat' and 'zzzz'", secrets=secrets) == "said '[redacted]' and '[redacted]'"


@pytest.mark.parametrize("length", [4, 5, 11, 12, 15])
def test_given_secret_is_taken_out_from_four_characters_on(length: int) -> None:
    secret = "q7x9w2v4k1m3n5p8"[:length]
    assert redact(f"refused {secret}.", secrets=[secret]) == "refused [redacted]."


@pytest.mark.parametrize(
    "text",
    [
        "https://bucket.example/v.mp4",
        "s3://aws_default@bucket/videos/a.mp4",
        "asset://asset-20260427160000-abcde",
        "task-asyntask_h81efT0qwtLnzyt6VENmCZ6VXSfNxE2E failed",
    ],
)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


def test_long_text_is_cut() -> None:
    assert len(redact("word " * 1000)) <= MAX_QUOTED + 3
    assert redact("x " * (MAX_QUOTED // 2)) == "x " * (MAX_QUOTED // 2)


@pytest.mark.parametrize(
    "path",
    [
        "/data/" + "deep-folder_1/" * 20 + "a.mp4",
        "/data/a#1.mp4",
        "s3://bucket/what?/a.mp4",
        "s3://conn@bucket/a:b@c.mp4",
        "/out/token=7/a.mp4",
        "s3://bucket/style_sig=a/b/c.mp4",
        "webhdfs://host:9870/a@b.mp4",
        "abfs://container@account.dfs.core.windows.net/a.mp4",
    ],
)
def test_path_without_credentials_stays_as_it_is(path: str) -> None:
    assert without_credentials(path) == path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("s3://AKIA:wJal@r@bucket/a.mp4", "s3://[redacted]@bucket/a.mp4"),
        ("s3://AKIA:wJ/al@bucket/a.mp4", "s3://[redacted]@bucket/a.mp4"),
        ("https://b.example/a.mp4?X-Amz-Signature=0123&x=1", "https://b.example/a.mp4?X-Amz-Signature=[redacted]&x=1"),
        ("abfs://c@a.example/a.mp4?sig=0123", "abfs://c@a.example/a.mp4?sig=[redacted]"),
    ],
)
def test_credentials_in_a_path_are_redacted(path: str, shown: str) -> None:
    assert without_credentials(path) == shown


@pytest.mark.parametrize("address", ["s3://AKIA:se/cret@bucket/x", "ftp://user:se/cret@host/x", "s3://a%3Ase-cret@b/x"])
def test_password_in_an_address_is_not_shown_however_it_is_written(address: str) -> None:
    assert "cret" not in without_secrets(f"cannot read {address} now")
