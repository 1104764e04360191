from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_seedance.api.assets import (
    Asset,
    AssetGroup,
    Page,
    age,
    check_name,
    content_digits,
    content_name,
    plain_name,
    result_items,
)
from airflow_provider_seedance.api.ids import check_asset_id, check_group_id
from airflow_provider_seedance.api.outcomes import Finished
from airflow_provider_seedance.api.paid_answer import find_created_id
from airflow_provider_seedance.api.polling import AssetPoller, PollAgain
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
    p = poller()
    assert outcome(p.on_error(SeedanceNotFoundError(), now=START + 14)) is None
    assert outcome(p.on_error(SeedanceNotFoundError(), now=START + 19)) is None
    assert outcome(p.on_error(SeedanceNotFoundError(), now=START + 20)) == "not_found"


def test_time_out_says_that_the_service_keeps_it() -> None:
    decision = poller().on_state(Asset(asset_id="a", status="Processing"), now=START + 300)
    assert isinstance(decision, Finished)
    assert decision.outcome == "timeout"
    assert "The service keeps it" in decision.message


LONG = "n" * 51


@pytest.mark.parametrize(
    ("name", "found", "digits"),
    [
        ("hero", content_name("hero", DIGEST), "0123456789ab"),
        ("hero", content_name("hero", DIGEST, "f" * 64), "0123456789ab"),
        (LONG, content_name(LONG, DIGEST), "0123456789ab"),
        (LONG, content_name(LONG, DIGEST, "f" * 64), "0123456789ab"),
        ("hero", "hero-2-0123456789ab", None),
        ("hero", "hero", None),
        ("h.ro", "hero-0123456789ab", None),
        ("hero", "hero-0123456789ab-fffffffff", None),
        (LONG, f"{LONG[:42]}-0123456789ab", None),
    ],
)
def test_name_carries_the_content(name: str, found: str, digits: str | None) -> None:
    assert content_digits(name, found) == digits
    assert len(found) <= 64


def test_name_of_the_first_asset_stays_as_it_was() -> None:
    assert content_name("hero", DIGEST) == "hero-0123456789ab"


@pytest.mark.parametrize("written", ["Video", "video", "VIDEO"])
def test_type_is_read_in_any_case(written: str) -> None:
    assert Asset.from_response({**FLAT, "AssetType": written}).asset_type == "Video"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2026-05-28T06:09:22Z", 1779948562.0),
        ("2026-05-28T14:09:22+08:00", 1779948562.0),
        ("2026-05-28T06:09:22", 1779948562.0),
        (1779948562, 1779948562.0),
        ("1779948562000", 1779948562.0),
        ("soon", None),
        (None, None),
        ({}, None),
    ],
)
def test_time_of_creation_is_read_in_every_form(written: object, seconds: float | None) -> None:
    assert Asset.from_response({"Id": "a", "CreateTime": written}).created == seconds
    assert AssetGroup.from_response({"Id": "g", "CreateTime": written}).created == seconds


def test_age_is_the_time_of_creation_and_then_the_id() -> None:
    groups = [AssetGroup(group_id="a"), AssetGroup(group_id="c", created=2.0), AssetGroup(group_id="b", created=2.0)]
    assert [group.group_id for group in sorted([*groups, AssetGroup(group_id="z", created=1.0)], key=age)] == list(
        "zbca"
    )


@pytest.mark.parametrize(
    ("code", "status", "unfit"),
    [
        ("FpsTooLow", "Failed", True),
        ("DurationTooLong", "Failed", True),
        ("FormatUnsupported", "Failed", True),
        ("DownloadFailed", "Failed", False),
        ("TranscodingFailed", "Failed", False),
        ("InputImageSensitiveContentDetected", "Failed", False),
        (None, "Inactive", False),
        ("FpsTooLow", "Active", False),
    ],
)
def test_only_what_was_measured_fails_again(code: str | None, status: str, unfit: bool) -> None:
    assert Asset(asset_id="a", status=status, error_code=code).is_unfit is unfit


def item(number: int) -> dict[str, Any]:
    return {"Id": f"group-{number}"}


@pytest.mark.parametrize(
    ("facts", "items", "seen", "next_page"),
    [
        ({"PageSize": 10, "TotalCount": 2}, 2, 2, False),
        ({"PageSize": 10, "TotalCount": 12}, 10, 10, True),
        ({"PageSize": 10, "TotalCount": 10}, 10, 10, True),  # the total can be wrong, and is often the page's own
        ({"PageSize": 100, "TotalCount": 12}, 10, 10, True),  # a cap that the service does not admit
        ({"PageSize": 10}, 2, 2, True),
        ({"TotalCount": 2}, 2, 2, True),
        ({"PageSize": 10, "TotalCount": 12}, 0, 10, False),
        ({"PageSize": "10", "TotalCount": "2"}, 2, 2, False),
    ],
)
def test_page_is_the_last_if_it_is_short_and_completes_the_total(
    facts: dict[str, Any], items: int, seen: int, next_page: bool
) -> None:
    body = {**facts, "Items": [item(number) for number in range(items)]}
    page = Page.of(body, map(AssetGroup.from_response, result_items(body)))
    assert page.may_have_next(seen) is next_page


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


@pytest.mark.parametrize("value", ["group-20260427160000-xxxxx", "asset://group-1", {"asset_id": "group-1"}])
def test_group_is_told_from_an_asset(value: object) -> None:
    with pytest.raises(SeedanceRequestError, match="the id of an asset group"):
        check_asset_id(value)


def test_message_about_an_id_does_not_repeat_a_link() -> None:
    value = "group-1?X-Amz-Signature=0123456789abcdef"
    with pytest.raises(SeedanceRequestError, match="the id of an asset group") as refused:
        check_asset_id(value)
    assert "0123456789abcdef" not in str(refused.value)


@pytest.mark.parametrize("value", ["asset-20260427160000-xxxxx", "asset://x"])
def test_asset_is_told_from_a_group(value: object) -> None:
    with pytest.raises(SeedanceRequestError, match="Give the id of the group"):
        check_group_id(value)


@pytest.mark.parametrize(
    ("name", "plain"),
    [("[u-1]-[t-2]hero", "hero"), ("[u-1]-[t-2]-hero", "hero"), ("hero", "hero"), ("he[ro]", "he[ro]")],
)
def test_prefix_of_the_service_is_taken_off(name: str, plain: str) -> None:
    assert plain_name(name) == plain
