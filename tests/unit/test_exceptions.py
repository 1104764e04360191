"""The exceptions: their kinship, what they carry, and what a retry policy makes of them."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_seedance import exceptions, version_compat
from airflow_provider_seedance.exceptions import (
    NON_RETRYABLE_ERRORS,
    SEEDANCE_RETRY_POLICY,
    SeedanceAmbiguousSubmissionError,
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceError,
    SeedanceEventError,
    SeedanceGenerationFailedError,
    SeedanceInputModerationError,
    SeedanceModerationError,
    SeedanceNotFoundError,
    SeedanceRateLimitError,
    SeedanceRequestError,
    SeedanceSensorTimeoutError,
    SeedanceServiceError,
    SeedanceTimeoutError,
    SeedanceTransportError,
)
from airflow_provider_seedance.operators.assets import (
    SeedanceCreateAssetGroupOperator,
    SeedanceCreateAssetOperator,
    SeedanceDeleteAssetOperator,
)
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.asset import SeedanceAssetSensor
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

ALL = [
    kind
    for _, kind in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(kind, BaseException) and kind.__module__ == exceptions.__name__
] + [SeedanceSensorTimeoutError]

COMMON: dict[str, Any] = {"code": "some_code", "status": 400, "request_id": "20260427"}

EXAMPLES = [
    SeedanceError("m", **COMMON),
    SeedanceRequestError("m", field="duration", **COMMON),
    SeedanceAuthError("m", **COMMON),
    SeedanceBalanceError("m", **COMMON),
    SeedanceModerationError("m", stage="output", **COMMON),
    SeedanceInputModerationError("m", item="reference_images[1]", **COMMON),
    SeedanceRateLimitError("m", retry_after=2.5, **COMMON),
    SeedanceServiceError("m", **COMMON),
    SeedanceTransportError("m", sent=False, **COMMON),
    SeedanceEventError("m", **COMMON),
    SeedanceNotFoundError("m", **COMMON),
    SeedanceGenerationFailedError("m", generation_id="asyntask_abc", reason="busy", **COMMON),
    SeedanceTimeoutError("m", **COMMON),
    SeedanceSensorTimeoutError("m", **COMMON),
    SeedanceAmbiguousSubmissionError("m", **COMMON),
]

on_airflow_with_policies = pytest.mark.skipif(
    SEEDANCE_RETRY_POLICY is None, reason="Airflow has retry policies since 3.3"
)


def by_name(value: object) -> str:
    return type(value).__name__ if isinstance(value, BaseException) else getattr(value, "__name__", str(value))


# -- kinship


def test_every_exception_has_an_example_here() -> None:
    assert {type(error) for error in EXAMPLES} == set(ALL)


@pytest.mark.parametrize("kind", ALL, ids=by_name)
def test_one_except_clause_takes_them_all(kind: type[BaseException]) -> None:
    assert issubclass(kind, SeedanceError)
    assert issubclass(kind, Exception)


@pytest.mark.parametrize("kind", ALL, ids=by_name)
def test_none_of_them_bypasses_the_retry_policy_by_being_a_fail_exception(kind: type[BaseException]) -> None:
    assert not issubclass(kind, AirflowFailException)


def test_importing_them_imports_no_airflow() -> None:
    script = (
        "import sys, airflow_provider_seedance.exceptions, airflow_provider_seedance.api.polling\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_sensors_timeout_is_both_ours_and_airflows() -> None:
    assert issubclass(SeedanceSensorTimeoutError, SeedanceTimeoutError)
    assert issubclass(SeedanceSensorTimeoutError, AirflowSensorTimeout)
    assert [kind for kind in ALL if issubclass(kind, AirflowSensorTimeout)] == [SeedanceSensorTimeoutError]


def test_refused_input_is_a_kind_of_moderation() -> None:
    assert issubclass(SeedanceInputModerationError, SeedanceModerationError)
    assert SeedanceInputModerationError("m").stage == "input"


@pytest.mark.parametrize("kind", ALL, ids=by_name)
def test_each_says_who_should_care(kind: type[BaseException]) -> None:
    assert kind.__doc__
    assert kind.__doc__.strip() not in [(other.__doc__ or "").strip() for other in ALL if other is not kind]


# -- what they carry


@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_each_carries_message_code_status_and_request_id(error: SeedanceError) -> None:
    assert str(error) == "m"
    assert (error.code, error.status, error.request_id) == ("some_code", 400, "20260427")


@pytest.mark.parametrize("kind", ALL, ids=by_name)
def test_what_is_not_known_is_none(kind: type[SeedanceError]) -> None:
    error = kind("m")
    assert (error.code, error.status, error.request_id) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "attribute", "default"),
    [
        (SeedanceRequestError, "field", None),
        (SeedanceModerationError, "item", None),
        (SeedanceModerationError, "stage", "input"),
        (SeedanceRateLimitError, "retry_after", None),
        (SeedanceGenerationFailedError, "generation_id", None),
        (SeedanceGenerationFailedError, "reason", None),
    ],
    ids=by_name,
)
def test_narrow_ones_carry_more(kind: type[SeedanceError], attribute: str, default: object) -> None:
    assert getattr(kind("m"), attribute) == default


@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
@pytest.mark.parametrize("through", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy], ids=["pickle", "copy"])
def test_they_cross_process_borders_whole(error: SeedanceError, through: Any) -> None:
    again = through(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


# -- retries

FAIL_AT_ONCE = {
    SeedanceRequestError,
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceInputModerationError,
    SeedanceAmbiguousSubmissionError,
}


def test_final_errors_are_those_that_a_person_has_to_act_on() -> None:
    assert set(NON_RETRYABLE_ERRORS) == FAIL_AT_ONCE


def decide(policy: Any, error: BaseException) -> tuple[str, timedelta | None]:
    decision = policy.evaluate(error, try_number=1, max_tries=3)
    return decision.action.value, decision.retry_delay


def expected(error: SeedanceError) -> tuple[str, timedelta | None]:
    if type(error) in FAIL_AT_ONCE:
        return "fail", None
    if type(error) is SeedanceRateLimitError:
        return "retry", timedelta(seconds=120)
    return "default", None


@on_airflow_with_policies
@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_the_policy_retries_what_a_retry_can_help(error: SeedanceError) -> None:
    assert decide(SEEDANCE_RETRY_POLICY, error) == expected(error)


@on_airflow_with_policies
@pytest.mark.parametrize(
    ("error", "asked", "decision"),
    [
        (SeedanceRateLimitError("m"), 600.0, ("retry", timedelta(seconds=600))),
        (SeedanceRateLimitError("m"), 5.0, ("retry", timedelta(seconds=120))),
        (SeedanceServiceError("m"), 600.0, ("retry", timedelta(seconds=600))),
        (SeedanceServiceError("m"), 5.0, ("default", None)),
        (SeedanceServiceError("m"), 90.0, ("retry", timedelta(seconds=90))),
        (SeedanceServiceError("m"), 1e300, ("retry", timedelta(days=1))),
        (SeedanceAuthError("m"), 600.0, ("fail", None)),
    ],
)
def test_a_long_wait_that_the_service_asks_for_delays_the_retry(
    error: SeedanceError, asked: float, decision: tuple[str, timedelta | None]
) -> None:
    error.retry_after = asked
    assert decide(SEEDANCE_RETRY_POLICY, error) == decision


@on_airflow_with_policies
def test_wait_that_the_service_asks_for_does_not_shorten_the_tasks_own() -> None:
    error = SeedanceServiceError("m")
    error.retry_after = 130.0
    task = SimpleNamespace(retry_delay=timedelta(seconds=300))
    decision = SEEDANCE_RETRY_POLICY.evaluate(error, 1, 3, {"task": task})
    assert (decision.action.value, decision.retry_delay) == ("default", None)


@on_airflow_with_policies
def test_the_policy_leaves_other_peoples_errors_alone() -> None:
    assert decide(SEEDANCE_RETRY_POLICY, KeyError("x")) == ("default", None)


@on_airflow_with_policies
@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_the_policy_survives_serialisation(error: SeedanceError) -> None:
    stored = json.loads(json.dumps(SEEDANCE_RETRY_POLICY.serialize()))
    assert decide(type(SEEDANCE_RETRY_POLICY).deserialize(stored), error) == expected(error)


#: Every operator, with what it cannot do without.
OPERATORS: list[tuple[Any, dict[str, str]]] = [
    (SeedanceGenerateVideoOperator, {"prompt": "a cat"}),
    (SeedanceCreateAssetGroupOperator, {"name": "cats"}),
    (SeedanceCreateAssetOperator, {"group_id": "group-1", "name": "tom", "source": "https://example.com/tom.png"}),
    (SeedanceDeleteAssetOperator, {"asset": "asset-1"}),
    (SeedanceGenerationSensor, {"generation": "asyntask_abc"}),
    (SeedanceAssetSensor, {"asset": "asset-1"}),
    (SeedanceToObjectStorageOperator, {"generation": "asyntask_abc", "path": "file:///tmp/"}),
]


@on_airflow_with_policies
@pytest.mark.parametrize(("kind", "needed"), OPERATORS, ids=[kind.__name__ for kind, _ in OPERATORS])
def test_it_is_the_default_of_every_operator_and_can_be_replaced(kind: Any, needed: dict[str, str]) -> None:
    own = type(SEEDANCE_RETRY_POLICY)(rules=[])
    assert kind(task_id="t", **needed).retry_policy is SEEDANCE_RETRY_POLICY
    assert kind(task_id="t", **needed, retry_policy=own).retry_policy is own


@on_airflow_with_policies
@pytest.mark.parametrize(("kind", "needed"), OPERATORS, ids=[kind.__name__ for kind, _ in OPERATORS])
def test_it_is_the_default_of_mapped_operators(kind: Any, needed: dict[str, str]) -> None:
    from airflow.sdk import DAG

    with DAG("d"):
        operator = kind.partial(task_id="t").expand(**{name: [value] for name, value in needed.items()})
    assert operator.unmap(needed).retry_policy is SEEDANCE_RETRY_POLICY


@on_airflow_with_policies
def test_a_dag_with_it_can_be_stored() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d") as dag:
        for kind, needed in OPERATORS:
            kind(task_id=kind.__name__, **needed)
    again = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert [again.get_task(kind.__name__).has_retry_policy for kind, _ in OPERATORS] == [True] * len(OPERATORS)


# -- Airflow before 3.3, which has no policies


@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_without_policies_the_operator_fails_the_task_where_a_retry_cannot_help(
    monkeypatch: pytest.MonkeyPatch, error: SeedanceError
) -> None:
    monkeypatch.setattr(version_compat, "SEEDANCE_RETRY_POLICY", None)
    operator = SeedanceGenerateVideoOperator(task_id="generate", prompt="a cat")

    def refuse() -> None:
        raise error

    monkeypatch.setattr(operator, "build_request", refuse)
    context: Any = {"ti": SimpleNamespace(max_tries=2)}
    with pytest.raises((SeedanceError, AirflowFailException)) as caught:
        operator.execute(context)
    if type(error) in FAIL_AT_ONCE:
        assert type(caught.value) is AirflowFailException
        assert str(caught.value) == f"{type(error).__name__}: m"
        assert caught.value.__cause__ is error
    else:
        assert caught.value is error
