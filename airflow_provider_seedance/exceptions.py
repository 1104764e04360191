"""
What can go wrong, as types: one base class and its few children.

A message says what happened and what to do about it. It never contains a key, a prompt, a link's query string or a
Base64 payload: whoever builds one passes the service's text through
:func:`~airflow_provider_seedance.api.redact.redact`.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal, Self, TypeVar

#: What content moderation rejected: the request, or the finished video.
ModerationStage = Literal["input", "output"]
Error = TypeVar("Error", bound="SeedanceError")
#: Seconds that a worker waits in place to repeat a call; a longer ``Retry-After`` is left to the task's retries.
MAX_WAIT_IN_PLACE = 60.0


class SeedanceError(Exception):
    """
    Base class of everything that this provider raises. Catch it to handle all failures alike.

    :param message: What happened and what to do about it.
    :param code: The service's own code, such as ``insufficient_user_quota``, if it gave one.
    :param status: HTTP status of the response, if there was one.
    :param request_id: The service's trace id, to quote to its support.
    """

    #: Seconds that the service asked to wait before another try, if it did.
    retry_after: float | None = None
    #: False if something on the way to the service answered in its place, such as a proxy.
    is_from_service: bool = True

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

    def add(self, *, before: str = "", after: str = "") -> Self:
        """Add what a person has to know as well to the message, and return the same error."""
        self.args = (" ".join(filter(None, (before, str(self), after))),)
        return self

    def retyped(self, error_type: type[Error], message: str) -> Error:
        """Return an error of another type that knows what this one does of the response."""
        error = error_type(message, code=self.code, status=self.status, request_id=self.request_id)
        error.retry_after, error.is_from_service = self.retry_after, self.is_from_service
        return error


class SeedanceRequestError(SeedanceError):
    """
    The request is malformed, as found here before it cost anything, or by the service. Repeating it cannot help.

    :param field: The operator's parameter or the connection's field to change, if it is known.
    """

    #: Whether the service lacks the route, because its documentation does not promise it.
    lacks_route: bool = False

    def __init__(self, message: str = "", *, field: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.field = field


class SeedanceAuthError(SeedanceError):
    """The key is missing, wrong, expired or not allowed to do this. A person has to correct the connection."""


class SeedanceBalanceError(SeedanceError):
    """The account cannot pay for the generation. A person has to top it up."""


class SeedanceModerationError(SeedanceError):
    """
    Content moderation rejected the request or the finished video.

    :param stage: ``input`` if the prompt or a reference was rejected, before anything was generated; ``output`` if the
        finished video was, in which case the platform refunds it and another try may pass.
    :param item: The content item that was named, such as ``reference_images[1]``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        stage: ModerationStage = "input",
        item: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.stage = stage
        self.item = item


class SeedanceInputModerationError(SeedanceModerationError):
    """The prompt or a reference was rejected. A type of its own, because a retry policy decides by type."""


class SeedanceRateLimitError(SeedanceError):
    """
    Too many requests, or the service is overloaded. Another try may pass after a while.

    :param retry_after: Seconds that the service asked to wait, if it did.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class SeedanceServiceError(SeedanceError):
    """The service, a storage or the network on the way failed: a 5xx, a broken connection, a response without JSON."""


class SeedanceTransportError(SeedanceServiceError):
    """
    A call did not get its response.

    :param sent: Whether any of the request may have reached the service.
    """

    def __init__(self, message: str = "", *, sent: bool = True, **details: Any) -> None:
        super().__init__(message, **details)
        self.sent = sent


class SeedanceEventError(SeedanceServiceError):
    """
    A trigger sent an event that this release cannot read, usually because triggerer and worker run different releases.

    The submission's record is kept, if there is one: a retry then finds the generation at no new cost.
    """


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
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.generation_id = generation_id
        self.reason = reason


class SeedanceTimeoutError(SeedanceError):
    """
    The timeout expired before the generation finished or the asset became active, or no triggerer reported the end.

    A generation keeps running and is billed. The message says how to go on with it.
    """


class SeedanceAmbiguousSubmissionError(SeedanceError):
    """
    A paid call may have created and billed something, and that cannot be confirmed.

    The message has its id if one is known.

    Nothing is submitted again until a person clears the task, or the operator has
    ``on_ambiguous_submission="resubmit"``.
    """


#: Raised at once, whatever ``retries`` is: a person has to act first, or another try would pay again.
NON_RETRYABLE_ERRORS: tuple[type[SeedanceError], ...] = (
    SeedanceRequestError,
    SeedanceAuthError,
    SeedanceBalanceError,
    SeedanceInputModerationError,
    SeedanceAmbiguousSubmissionError,
)

#: Names that need Airflow, by the module that defines them: importing this module must not import Airflow.
_DEFINED_WITH_AIRFLOW = {
    "SEEDANCE_RETRY_POLICY": "airflow_provider_seedance.version_compat",
    "SeedanceSensorTimeoutError": "airflow_provider_seedance.sensors.base",
}


def __getattr__(name: str) -> Any:
    if name in _DEFINED_WITH_AIRFLOW:
        return getattr(importlib.import_module(_DEFINED_WITH_AIRFLOW[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
