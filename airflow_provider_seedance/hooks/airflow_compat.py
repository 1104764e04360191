"""Which errors a retry can help: the operators' default retry policy, and what stands in for it where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_seedance.exceptions import FINAL_ERRORS, SEEDANCE_RETRY_POLICY


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
