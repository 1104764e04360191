"""
What can go wrong, as types: one base class and its few children.

A message says what happened and what to do about it. It never holds a key, a prompt, a link's query string or a
Base64 payload: whoever builds one passes service text through :func:`~airflow_provider_seedance.api.redact.redact`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from airflow.providers.common.compat.sdk import AirflowException, AirflowSensorTimeout

#: Where a moderation check struck: on what was sent, or on the finished video.
ModerationStage = Literal["input", "output"]


class SeedanceError(AirflowException):
    """
    Anything this provider raises. Catch it to handle all of its failures alike.

    :param message: What happened and what to do about it.
    :param code: The service's own code, such as ``insufficient_user_quota``, where it gave one.
    :param status: HTTP status of the answer, where there was one.
    :param request_id: The service's trace id, to quote to its support.
    """

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id


class SeedanceRequestError(SeedanceError):
    """
    The request is malformed: refused here before it cost anything, or by the service. Repeating it cannot help.

    :param field: The operator's parameter or the connection's field to change, where it is known.
    """

    def __init__(self, message: str = "", *, field: str | None = None, **details: object) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.field = field


class SeedanceAuthError(SeedanceError):
    """The key is missing, wrong, expired or not allowed to do this. A person has to mend the connection."""


class SeedanceBalanceError(SeedanceError):
    """The account cannot pay for the generation. A person has to top it up."""


class SeedanceModerationError(SeedanceError):
    """
    Content moderation said no.

    :param stage: ``input`` when the prompt or a reference was refused, before anything was generated; ``output``
        when the finished video was, in which case the platform refunds it and another try may pass.
    :param item: The content item that was named, such as ``reference_images[1]``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        stage: ModerationStage = "input",
        item: str | None = None,
        **details: object,
    ) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.stage = stage
        self.item = item


class SeedanceInputModerationError(SeedanceModerationError):
    """The prompt or a reference was refused. A type of its own, since a retry policy tells errors by their type."""


class SeedanceRateLimitError(SeedanceError):
    """
    Too many requests, or the service is overloaded. Worth another try after a while.

    :param retry_after: Seconds that the service asked to wait, where it said so.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None, **details: object) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.retry_after = retry_after


class SeedanceServiceError(SeedanceError):
    """The service or the way to it failed: a 5xx, a broken connection, an answer that is not JSON. Passes by itself."""


class SeedanceNotFoundError(SeedanceError):
    """The service does not know this generation or asset: a wrong id, another account's, or too old."""


class SeedanceGenerationFailedError(SeedanceError):
    """
    The generation ran and failed for a reason other than moderation. The platform refunds it.

    :param generation_id: The generation.
    :param reason: The classified reason in one word, such as ``timeout`` or ``busy``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        generation_id: str | None = None,
        reason: str | None = None,
        **details: object,
    ) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.generation_id = generation_id
        self.reason = reason


class SeedanceTimeoutError(SeedanceError):
    """Our patience ended before the generation did. It goes on and is billed; a retry or a Clear picks it up."""


class SeedanceSensorTimeoutError(SeedanceTimeoutError, AirflowSensorTimeout):
    """A sensor's ``timeout`` passed. Airflow never retries that, and skips the task with ``soft_fail``."""


class SeedanceAmbiguousSubmissionError(SeedanceError):
    """
    A paid call was sent and its answer lost: the generation may exist and be billed, and its id is unknown.

    Nothing is submitted again until a person clears the task, or the operator says
    ``on_ambiguous_submission="resubmit"``.
    """


#: Raised at once, whatever ``retries`` says: a person has to act first, or another try would pay.
FINAL_ERRORS: tuple[type[SeedanceError], ...] = (
    SeedanceRequestError,
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceInputModerationError,
    SeedanceAmbiguousSubmissionError,
)

#: Seconds before the next try after a rate limit.
RATE_LIMIT_RETRY_DELAY = 120


def _retry_policy() -> Any:
    try:
        from airflow.providers.common.compat.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
    except ImportError:  # Airflow < 3.3: the operators raise AirflowFailException instead
        return None
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=list(FINAL_ERRORS),
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


#: The operators' default ``retry_policy``: which errors a retry can help. None on Airflow < 3.3, which has none.
SEEDANCE_RETRY_POLICY = _retry_policy()
