"""The edges of what becomes of a paid call: without a response, in place, in the depth of a body, at a status."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_seedance.api.calls import CreateGeneration
from airflow_provider_seedance.api.paid_answer import (
    SUBMIT_ATTEMPTS,
    PaidAnswer,
    find_created_id,
    read_paid_answer,
    read_paid_failure,
)
from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import (
    SeedanceAmbiguousSubmissionError,
    SeedanceInputModerationError,
    SeedanceRateLimitError,
    SeedanceRequestError,
    SeedanceTransportError,
)

ID = "asyntask_h81efT0qwtLnzyt6VENmCZ6VXSfNxE2E"
BUSY = SeedanceRateLimitError("busy")


def nested(innermost: Any, levels: int, *, in_lists: bool = False) -> Any:
    for _ in range(levels):
        innermost = [innermost] if in_lists else {"more": innermost}
    return innermost


@pytest.mark.parametrize(("sent", "verdict"), [(True, "lost"), (False, "repeat")])
def test_call_without_a_response_is_lost_only_if_some_of_it_was_sent(sent: bool, verdict: str) -> None:
    error = SeedanceTransportError("reset", sent=sent)
    assert read_paid_failure(error) == PaidAnswer(verdict, None, error)  # type: ignore[arg-type]


def test_call_that_could_not_be_made_is_refused() -> None:
    error = SeedanceRequestError("no such host")
    assert read_paid_failure(error) == PaidAnswer("refused", None, error)


def test_only_what_may_be_repeated_is_repeated_and_not_for_ever() -> None:
    answer = PaidAnswer("repeat", error=BUSY)
    assert 5 <= (answer.retry_in(1) or 0) < 10
    assert 10 <= (answer.retry_in(2) or 0) < 15
    assert answer.retry_in(SUBMIT_ATTEMPTS) is None
    for verdict in ("accepted", "refused", "lost"):
        assert PaidAnswer(verdict, error=BUSY).retry_in(1) is None
    assert PaidAnswer("repeat").retry_in(1) is None


def test_id_is_required_or_what_happened_is_raised() -> None:
    assert PaidAnswer("accepted", ID).require_id() == ID
    refusal = SeedanceRequestError("no", code="x", status=400, request_id="req-1")
    with pytest.raises(SeedanceRequestError) as refused:
        PaidAnswer("refused", error=refusal).require_id()
    assert refused.value is refusal
    with pytest.raises(SeedanceAmbiguousSubmissionError, match=r"was lost: no") as lost:
        PaidAnswer("lost", error=refusal).require_id()
    assert (lost.value.code, lost.value.status, lost.value.request_id) == ("x", 400, "req-1")


@pytest.mark.parametrize("status", [199, 300, 301])
def test_only_2xx_accepts(status: int) -> None:
    answer = read_paid_answer(Response(status, {"id": ID}))
    assert (answer.verdict, answer.created_id) == ("lost", ID)


@pytest.mark.parametrize("status", [300, 302])
def test_redirect_is_no_success_without_an_id(status: int) -> None:
    answer = read_paid_answer(Response(status, {"ok": True}))
    assert answer.verdict == "lost"
    assert "with no id" not in str(answer.error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"ok": True}, "The service answered HTTP 200 with no id."),
        (
            {"code": "queue_failed", "message": "it broke"},
            "The service answered HTTP 200 with no id: The service failed (HTTP 200, queue_failed: it broke).",
        ),
        ({"id": "a/b c"}, "The service answered HTTP 200 with an id that cannot be queried."),
    ],
)
def test_success_without_a_usable_id_says_so(body: Any, message: str) -> None:
    error = read_paid_answer(Response(200, body)).error
    assert error is not None
    assert (str(error), error.status) == (message, 200)


def test_number_is_an_id_and_zero_is_none() -> None:
    assert read_paid_answer(Response(200, {"id": 1})).created_id == "1"
    for none in (0, -1, True):
        assert read_paid_answer(Response(200, {"id": none})).verdict == "lost"


def test_bare_data_is_an_id_only_at_the_top() -> None:
    assert find_created_id({"data": "cgt-1"}) == "cgt-1"
    assert find_created_id({"more": {"data": "cgt-1"}}) is None
    assert read_paid_answer(Response(200, {"data": "a/b"})).created_id == "a/b"


def test_id_in_a_field_counts_though_the_request_quotes_it() -> None:
    assert find_created_id({"id": "cgt-1", "task_id": ID}, sent=ID.encode()) == ID
    assert find_created_id({"id": "cgt-1", "text": f"made {ID}"}, sent=ID.encode()) == "cgt-1"


@pytest.mark.parametrize("in_lists", [False, True])
def test_ids_are_looked_for_down_to_a_depth(in_lists: bool) -> None:
    assert find_created_id(nested({"id": "cgt-1"}, 5, in_lists=in_lists)) == "cgt-1"
    assert find_created_id(nested({"id": "cgt-1"}, 6, in_lists=in_lists)) is None
    assert find_created_id(nested(f"made {ID}", 6, in_lists=in_lists)) == ID
    assert find_created_id(nested(f"made {ID}", 7, in_lists=in_lists)) is None


def test_refusal_names_the_item_and_keeps_the_prompt_out() -> None:
    body = {"code": "InputImageSensitiveContentDetected", "message": "content[1] of a hidden plan", "data": None}
    answer = CreateGeneration(b"{}", ("prompt", "first_frame"), ("a hidden plan",)).read(Response(400, body))
    assert isinstance(answer.error, SeedanceInputModerationError)
    assert answer.error.item == "first_frame"
    assert "hidden" not in str(answer.error)


def test_odd_id_that_is_the_prompt_is_not_shown() -> None:
    answer = CreateGeneration(b"{}", (), ("a hidden plan",)).read(Response(200, {"id": "a hidden plan"}))
    assert answer.created_id == "[redacted]"
