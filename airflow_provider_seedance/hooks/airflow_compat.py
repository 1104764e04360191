"""What differs between the versions of Airflow: retry policies, and what an XCom may hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedance.exceptions import FINAL_ERRORS, SEEDANCE_RETRY_POLICY

_BEFORE_3_1 = tuple(int(part) for part in airflow_version.split(".")[:2]) < (3, 1)


@contextmanager
def final_errors_fail() -> Iterator[None]:
    """On Airflow < 3.3, which has no retry policies, fail the task at once where a retry cannot help."""
    try:
        yield
    except FINAL_ERRORS as e:
        if SEEDANCE_RETRY_POLICY is None:
            raise AirflowFailException(f"{type(e).__name__}: {e}") from e
        raise


def with_retry_policy(kwargs: dict[str, Any]) -> dict[str, Any]:
    """
    Return an operator's keyword arguments with our retry policy where none is given.

    ``.partial()`` hands over None for what its user left out, so None is "not given" too; a policy without rules does
    what Airflow does without one.
    """
    if SEEDANCE_RETRY_POLICY is None or kwargs.get("retry_policy") is not None:
        return kwargs
    return {**kwargs, "retry_policy": SEEDANCE_RETRY_POLICY}


def pushable(result: dict[str, Any]) -> dict[str, Any]:
    """
    Return a result that Airflow can push key by key.

    Airflow 3.0 refuses an XCom whose value is None, and the task would fail after it was paid for: there, such keys are
    left out, and pulling them gives None all the same.
    """
    return {key: value for key, value in result.items() if value is not None} if _BEFORE_3_1 else result


def given_fields(operator: Any) -> tuple[str, ...]:
    """
    Return the template fields that a Dag's author gave a value, before they are rendered.

    In a mapped task the values are final when the operator is made, so None counts as given there: Airflow keeps the
    arguments of an operator, and whether it is a mapped one, in two attributes that have no public name.
    """
    mapped = getattr(operator, "_BaseOperator__from_mapped", False)
    arguments = getattr(operator, "_BaseOperator__init_kwargs", {}) if mapped else {}
    return tuple(name for name in operator.template_fields if getattr(operator, name) is not None or name in arguments)
