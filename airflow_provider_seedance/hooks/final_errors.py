"""What stands in for a retry policy where Airflow has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
