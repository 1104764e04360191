"""What differs between the versions of Airflow, and the few of its private names that are used, each with a reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import AirflowFailException, conf

from airflow_provider_seedance.exceptions import (
    MAX_WAIT_IN_PLACE,
    NON_RETRYABLE_ERRORS,
    SeedanceError,
    SeedanceRateLimitError,
)

_BEFORE_3_1 = tuple(int(part) for part in airflow_version.split(".")[:2]) < (3, 1)

#: What Airflow resumes a task with instead of a method if its deferral failed, and the reason if it timed out.
DEFERRAL_FAILED = "__fail__"
DEFERRAL_TIMED_OUT = "Trigger timeout"
#: Seconds before the next try after a rate limit, if the service does not ask for more.
RATE_LIMIT_RETRY_DELAY = 120
#: Seconds that a ``Retry-After`` delays the next try at most.
MAX_RETRY_DELAY = 24 * 3600.0


try:
    from airflow.providers.common.compat.sdk import ExceptionRetryPolicy, RetryAction, RetryDecision, RetryRule
except ImportError:  # Airflow < 3.3: the operators raise AirflowFailException instead
    #: The operators' default ``retry_policy``: which errors are retried. None before Airflow 3.3.
    SEEDANCE_RETRY_POLICY: Any = None
else:

    class SeedanceRetryPolicy(ExceptionRetryPolicy):
        """Decides by the exception's type, and lets a long ``Retry-After`` of the service win."""

        def evaluate(
            self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
        ) -> RetryDecision:
            """Return whether and when to retry. Parameters as Airflow's ``RetryPolicy.evaluate``."""
            decision = super().evaluate(exception, try_number, max_tries, context)
            asked = getattr(exception, "retry_after", None) if isinstance(exception, SeedanceError) else None
            usual = decision.retry_delay or getattr((context or {}).get("task"), "retry_delay", None) or timedelta(0)
            shortest = max(usual.total_seconds(), MAX_WAIT_IN_PLACE)
            if decision.action is RetryAction.FAIL or asked is None or asked <= shortest:
                return decision
            delay = timedelta(seconds=min(asked, MAX_RETRY_DELAY))
            return RetryDecision.retry(delay=delay, reason="The service named the time of the next try.")

    SEEDANCE_RETRY_POLICY = SeedanceRetryPolicy(
        rules=[
            RetryRule(
                exception=list(NON_RETRYABLE_ERRORS),
                action=RetryAction.FAIL,
                reason="A person has to act first: see the error's remedy.",
            ),
            RetryRule(
                exception=SeedanceRateLimitError,
                action=RetryAction.RETRY,
                retry_delay=timedelta(seconds=RATE_LIMIT_RETRY_DELAY),
                reason="The service is busy.",
            ),
        ]
    )


@contextmanager
def fail_without_retry() -> Iterator[None]:
    """On Airflow < 3.3, which has no retry policies, fail the task at once on a permanent error."""
    try:
        yield
    except NON_RETRYABLE_ERRORS as e:
        if SEEDANCE_RETRY_POLICY is None:
            raise AirflowFailException(f"{type(e).__name__}: {e}") from e
        raise


def with_retry_policy(kwargs: dict[str, Any]) -> dict[str, Any]:
    """
    Return an operator's keyword arguments with our retry policy, unless they name one.

    ``.partial()`` passes None for what its user left out, so None counts as not given; a policy without rules does
    what Airflow does without one.
    """
    if SEEDANCE_RETRY_POLICY is None or kwargs.get("retry_policy") is not None:
        return kwargs
    return {**kwargs, "retry_policy": SEEDANCE_RETRY_POLICY}


def xcom_safe(result: dict[str, Any]) -> dict[str, Any]:
    """
    Return a result that Airflow can push key by key.

    Airflow 3.0 rejects an XCom whose value is None, and the task would fail after it was paid for: there, such keys are
    left out, and pulling them gives None all the same.
    """
    return {key: value for key, value in result.items() if value is not None} if _BEFORE_3_1 else result


def _default_deferrable() -> bool:
    """
    Return whether an operator defers if its ``deferrable`` is not given.

    True, unless ``AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE`` says otherwise. A ``false`` in ``airflow.cfg`` is not
    followed: Airflow writes that line into every file that it generates, so nobody chose it.
    """
    if "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE" not in os.environ:
        return True
    return bool(conf.getboolean("operators", "default_deferrable", fallback=True))


#: Whether an operator defers if its ``deferrable`` is not given.
DEFAULT_DEFERRABLE = _default_deferrable()


def mapped_task(operator: Any) -> Any:
    """Return the mapped task that an operator is one instance of, else None. Airflow has no public name for it."""
    return operator.dag.get_task(operator.task_id) if getattr(operator, "_BaseOperator__from_mapped", False) else None


def inputs_of_mapped_groups(operator: Any) -> list[Any]:
    """Return what the mapped groups around an operator are expanded by; Airflow keeps it without a public name."""
    return [group._expand_input.value for group in operator.iter_mapped_task_groups()]  # noqa: SLF001


def arguments_of(operator: Any) -> Mapping[str, Any]:
    """Return the arguments that an operator was made with; Airflow keeps them without a public name."""
    return getattr(operator, "_BaseOperator__init_kwargs", {})


def first_try_since_cleared(operator: Any, context: Any) -> int:
    """
    Return the number of the first try since the task was last cleared, by the Dag's present ``retries``.

    A retry keeps ``max_tries``, and clearing raises it by the task's retries; the task SDK computes it the same way.
    """
    return max(int(context["ti"].max_tries) - int(operator.retries or 0) + 1, 1)
