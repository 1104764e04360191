from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_seedance.api.assets import (
    Asset,
    AssetGroup,
    check_name,
    content_name,
    is_content_of,
    plain_name,
    result_items,
)
from airflow_provider_seedance.api.ids import check_asset_id
from airflow_provider_seedance.api.polling import AssetPoller, Finished, PollAgain
from airflow_provider_seedance.api.submission import find_created_id
from airflow_provider_seedance.exceptions import (
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
)
from tests.polls import Fixed, outcome

DIGEST = "0123456789abcdef" * 4
START = 1_000_000.0
FLAT = {
    "Id": "asset-20260528140922-d9646",
    "Name": "character-reference",
    "URL": "https://ark-media-asset.example/x?X-Tos-Signature=beef",
    "AssetType": "Video",
    "GroupId": "group-20260528140601-tp9hw",
    "Status": "Active",
    "ProjectName": "default",
    "CreateTime": "2026-05-28T06:09:22Z",
}


@pytest.mark.parametrize(
    "body",
    [
        FLAT,
        {"ResponseMetadata": {"RequestId": "r"}, "Result": FLAT},
        {"data": FLAT},
        {key.lower(): value for key, value in FLAT.items()},
        {**FLAT, "Name": "[u-12]-[t-34]character-reference"},
        {**FLAT, "Name": "[u-12]-[t-34]-character-reference"},
    ],
)
def test_asset_is_read_in_every_shape(body: dict[str, Any]) -> None:
    asset = Asset.from_response(body)
    assert (asset.asset_id, asset.name, asset.group_id) == (
        "asset-20260528140922-d9646",
        "character-reference",
        "group-20260528140601-tp9hw",
    )
    assert asset.state == "succeeded"
    assert asset.uri == "asset://asset-20260528140922-d9646"
    assert "beef" not in repr(asset)


@pytest.mark.parametrize("body", [None, [], {}, {"Result": {}}, {"Id": ""}, {"Id": "a/b"}])
def test_answer_without_an_id_is_a_typed_error(body: object) -> None:
    with pytest.raises(SeedanceServiceError):
        Asset.from_response(body)
    with pytest.raises(SeedanceServiceError):
        AssetGroup.from_response(body)
    assert find_created_id(body) is None


@pytest.mark.parametrize("body", [{"Items": [FLAT, None, "x"]}, {"Result": {"Items": [FLAT]}}])
def test_items_of_a_list_are_found(body: dict[str, Any]) -> None:
    assert list(result_items(body)) == [FLAT]


@pytest.mark.parametrize("body", [None, {}, {"Items": None}, {"Items": "x"}])
def test_a_list_without_items_is_empty(body: object) -> None:
    assert list(result_items(body)) == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("DownloadFailed", "reachable"),
        ("TypeMismatch", "asset_type"),
        ("DurationTooLong", "15 seconds"),
        ("AspectRatioTooSmall", "0.4 and 2.5"),
        ("InputImageSensitiveContentDetected.PrivacyInformation", "moderation"),
        ("FaceMismatch", "face"),
        ("SomethingNew", "replace"),
    ],
)
def test_each_code_of_a_failed_asset_has_its_remedy(code: str, told: str) -> None:
    body = {**FLAT, "Status": "Failed", "Error": {"Code": code, "Message": "x"}}
    error = Asset.from_response(body).to_error()
    assert code in str(error)
    assert told in str(error)
    assert (error.code, error.field) == (code, "source")


def poller() -> AssetPoller:
    return AssetPoller("a", deadline=START + 300, submitted_at=START, poll_interval=5, rng=Fixed(0.5))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Active", "succeeded"),
        ("active", "succeeded"),
        ("Processing", None),
        ("", None),
        ("New", None),
        ("Failed", "failed"),
        ("Inactive", "failed"),
    ],
)
def test_each_status_leads_to_its_decision(status: str, expected: str | None) -> None:
    decision = poller().on_state(Asset(asset_id="a", status=status), now=START)
    assert outcome(decision) == expected
    assert (isinstance(decision, PollAgain) and decision.warning is not None) == (status == "New")


def test_not_found_is_tolerated_for_twenty_seconds() -> None:
    assert outcome(poller().on_error(SeedanceNotFoundError(), now=START + 19)) is None
    assert outcome(poller().on_error(SeedanceNotFoundError(), now=START + 20)) == "not_found"


def test_time_out_says_that_the_service_keeps_it() -> None:
    decision = poller().on_state(Asset(asset_id="a", status="Processing"), now=START + 300)
    assert isinstance(decision, Finished)
    assert decision.outcome == "timeout"
    assert "The service keeps it" in decision.message


def test_name_carries_the_content() -> None:
    assert content_name("hero", DIGEST) == "hero-0123456789ab"
    assert is_content_of("hero", "hero-0123456789ab")
    assert not is_content_of("hero", "hero-2-0123456789ab")
    assert not is_content_of("hero", "hero")
    assert not is_content_of("h.ro", "hero-0123456789ab")


@pytest.mark.parametrize("name", ["", "  ", None, "x" * 65, "[u-1]mine"])
def test_bad_names_are_refused_before_they_are_paid_for(name: object) -> None:
    with pytest.raises(SeedanceRequestError) as caught:
        check_name(name)
    assert caught.value.field == "name"


@pytest.mark.parametrize(
    "value", ["asset-1", "asset://asset-1", "Asset://asset-1", {"asset_id": "asset-1", "asset_uri": "asset://asset-1"}]
)
def test_asset_is_given_in_every_spelling(value: object) -> None:
    assert check_asset_id(value) == "asset-1"


@pytest.mark.parametrize("value", ["", None, {}, "asset://", "a b", 7])
def test_what_is_no_asset_is_refused(value: object) -> None:
    with pytest.raises(SeedanceRequestError, match="asset"):
        check_asset_id(value)


@pytest.mark.parametrize(
    ("name", "plain"),
    [("[u-1]-[t-2]hero", "hero"), ("[u-1]-[t-2]-hero", "hero"), ("hero", "hero"), ("he[ro]", "he[ro]")],
)
def test_prefix_of_the_service_is_taken_off(name: str, plain: str) -> None:
    assert plain_name(name) == plain
