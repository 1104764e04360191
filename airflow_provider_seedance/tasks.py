"""
What operators, sensors and transfers share: redacted fields, a hook, and polling that defers.

What a task needs only when it runs is imported only then, here and in the classes that mix this in: a Dag file is
parsed every few seconds, and pays for what its imports load.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_seedance.api.parse import as_mapping
from airflow_provider_seedance.api.recovery import what_next
from airflow_provider_seedance.api.redact import Redacted, wrap
from airflow_provider_seedance.api.values import GAVE_NOTHING, is_nothing, refuse, shown, texts_in
from airflow_provider_seedance.clock import SYSTEM_CLOCK, Clock
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceServiceError,
    SeedanceTimeoutError,
)
from airflow_provider_seedance.links import SeedanceVideoLink
from airflow_provider_seedance.telemetry.lineage_facts import LineageFacts
from airflow_provider_seedance.version_compat import (
    DEFERRAL_FAILED,
    DEFERRAL_TIMED_OUT,
    arguments_of,
    first_try_since_cleared,
    inputs_of_mapped_groups,
    mapped_task,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.api.outcomes import Finished
    from airflow_provider_seedance.api.polling import BasePoller, Waited
    from airflow_provider_seedance.api.request import GenerationRequest
    from airflow_provider_seedance.api.submission import Tries
    from airflow_provider_seedance.hooks.seedance import SeedanceHook
    from airflow_provider_seedance.jobs.store import SubmissionStore

#: Seconds after the poller's deadline at which Airflow fails the deferral, in case the trigger is lost.
DEFERRAL_BACKSTOP = 300.0
#: Stands for an id that is not known, in messages.
UNKNOWN_ID = "(its id is in the log)"


@contextmanager
def adding(sentence: str) -> Iterator[None]:
    """Add a sentence to the message of any error of ours."""
    try:
        yield
    except SeedanceError as e:
        e.add(after=sentence)
        raise


class SeedanceTask:
    """Mixin for operators, sensors and transfers: redacts rendered fields and provides the hook."""

    template_fields: Any
    ui_color = "#efe6ff"
    seedance_conn_id: str
    #: The time that waits are measured by.
    clock: Clock = SYSTEM_CLOCK
    #: Template fields that were given a value which then rendered to nothing.
    rendered_to_nothing: tuple[str, ...] = ()
    #: The texts that the Dag's own code gives; None until the task is rendered: then every value is the code's own.
    texts_of_dag: frozenset[str] | None = None
    #: Template fields that only a payment needs: a video that is paid for is delivered whatever they render to.
    fields_to_submit: Collection[str] = ()
    #: Whether the next try finds what this one pays for or waits for.
    reattaches = True
    #: Why a field of :attr:`fields_to_submit` could not be rendered.
    render_errors: Mapping[str, Exception] = {}

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], *args: Any, **kwargs: Any
    ) -> None:
        """Render as Airflow does, then redact: the one step that mapped and plain operators share."""
        given, texts, errors = _given_fields(self), frozenset(_texts_of_dag(self)), {}
        for name in template_fields:
            try:
                super()._do_render_template_fields(parent, (name,), *args, **kwargs)  # type: ignore[misc]
            except Exception as e:
                if parent is not self or name not in self.fields_to_submit:
                    raise
                errors[name] = e
        if parent is self:
            self.render_errors = errors
            self.rendered_to_nothing = tuple(name for name in given if is_nothing(getattr(self, name)))
            self.texts_of_dag = texts
            for name in self.template_fields:
                setattr(self, name, wrap(getattr(self, name)))

    def require_rendered(self, names: Sequence[str]) -> None:
        """
        Check that every given value was rendered, and to something.

        :param names: The fields to check.
        :raises SeedanceRequestError: One was given a value, and it rendered to nothing.
        :raises Exception: One could not be rendered; this is why.
        """
        for name, error in self.render_errors.items():
            if name in names:
                raise error
        for name in self.rendered_to_nothing:
            if name in names:
                rendered = shown(getattr(self, name))
                refuse(name, f"was given, and rendered to {rendered}: {GAVE_NOTHING}", "Correct it, or omit it")

    def tries(self, context: Context) -> Tries:
        """Return what Airflow keeps of the task instance's tries, by which a retry is told from clearing."""
        from airflow_provider_seedance.api.submission import Tries

        return Tries(first_try_since_cleared(self, context), int(context["ti"].max_tries))

    @cached_property
    def hook(self) -> SeedanceHook:
        """The hook for ``seedance_conn_id``."""
        from airflow_provider_seedance.hooks.seedance import SeedanceHook

        self.require_rendered(("seedance_conn_id",))
        return SeedanceHook(self.seedance_conn_id, clock=self.clock)


class PayingTask(SeedanceTask):
    """Mixin for tasks that make a paid call: records the delivery once Airflow has the task's success."""

    #: What is paid for.
    kind_noun = "generation"
    #: Whether it is recorded, so that a retry finds it.
    durable: bool = True
    #: What the task has returned: where it is recorded, and its id.
    returned: tuple[SubmissionStore, str] | None = None
    on_success_callback: Sequence[Any]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_success_callback = [*self.on_success_callback, _record_delivery]

    def store(self, context: Context) -> SubmissionStore:
        """Return where the submission is recorded."""
        from airflow_provider_seedance.api.submission import KINDS
        from airflow_provider_seedance.jobs.store import SubmissionStore

        store = SubmissionStore(context, KINDS[self.kind_noun], durable=self.durable, clock=self.clock)
        self.reattaches = store.reattaches
        return store


def _record_delivery(context: Context) -> None:
    """
    Record that what was paid for is delivered: clearing the task from now on asks for another one.

    As an ``on_success_callback`` it runs after Airflow has stored the success; and also if a person ended the task
    meanwhile, so it asks. A worker that dies before it leaves the record as it is, and clearing pays nothing. It is no
    method: Airflow copies operators, and the copy would call the original's.
    """
    task: Any = context["task"]
    if task.returned is not None:
        store, created_id = task.returned
        store.mark_delivered(created_id, task.tries(context), context["ti"])


def _given_fields(task: Any) -> tuple[str, ...]:
    """
    Return the template fields that were given a value, before they are rendered.

    What a mapped task is expanded by is final when the operator is made, so nothing counts as given there, except in
    ``.partial()``.
    """
    mapped = mapped_task(task)
    expanded = () if mapped is None else arguments_of(task).keys() - mapped.partial_kwargs.keys()
    return tuple(name for name in task.template_fields if name in expanded or not is_nothing(getattr(task, name)))


def _texts_of_dag(task: Any) -> Iterator[str]:
    """
    Find what the Dag's own code gives for template fields, before they are rendered: no other task's output.

    A mapped group's inputs, the Dag's macros and, where a template has it, the Dag's folder are its code's too. The
    prompt is not: it names no files.
    """
    mapped, dag = mapped_task(task), task.get_dag()
    own = {
        name: getattr(task, name) if mapped is None else mapped.partial_kwargs.get(name)
        for name in task.template_fields
    }
    given: list[Any] = [own, *inputs_of_mapped_groups(task)]
    if mapped is not None:
        given.append(mapped.expand_input.value)
    rows = [row for inputs in given for row in (inputs if isinstance(inputs, list | tuple) else [inputs])]
    named = [value for row in rows if isinstance(row, Mapping) for name, value in row.items() if name != "prompt"]
    texts = [text.strip() for text in texts_in([named, getattr(dag, "user_defined_macros", None)])]
    yield from texts
    if dag and any("dag.folder" in text for text in texts):
        yield dag.folder


class PollingTask(SeedanceTask):
    """Mixin for tasks that wait: polls once, then defers or waits in the worker."""

    deferrable: bool

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral. One that failed in Airflow itself names what was waited for."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
        except Exception as e:
            if next_method != DEFERRAL_FAILED or isinstance(e, AirflowSkipException):
                raise
            raise self._deferral_error(context, (next_kwargs or {}).get("error") == DEFERRAL_TIMED_OUT) from e

    def _deferral_error(self, context: Context, timed_out: bool) -> SeedanceError:
        """Return the error of a deferral that failed in Airflow itself: no event came of it."""
        noun, subject_id = self._waited_for(context)
        further = what_next(noun, subject_id, reattaches=self.reattaches)
        if not timed_out:
            return SeedanceServiceError(
                f"The trigger that waited for {noun} {subject_id} failed in the triggerer: see the log above. {further}"
            )
        return SeedanceTimeoutError(
            f"The task was deferred until {noun} {subject_id} finishes, and no triggerer reported its end in time. Is "
            f"a triggerer running (airflow triggerer), with this provider installed? {further}"
        )

    def _waited_for(self, context: Context) -> tuple[str, str]:
        """Return the noun and the id of what a deferral waited for."""
        raise NotImplementedError

    def _wait(self, poller: BasePoller[Waited], state: Waited | None = None) -> tuple[Finished, Waited | None]:
        """
        Wait until there is an outcome, or defer, which ends this run of the worker.

        :param poller: The poller of the wait.
        :param state: What the service reported, if it was queried already.
        """
        from airflow_provider_seedance.api.polling import PollAgain
        from airflow_provider_seedance.jobs.wait import poll_once, wait

        if state is None:
            decision, state = poll_once(self.hook, poller)
        else:
            decision = poller.on_state(state, now=self.clock.now())
        if self.deferrable and isinstance(decision, PollAgain):
            self._defer(poller)
        return wait(self.hook, poller, decision, state)

    def _defer(self, poller: BasePoller[Any]) -> NoReturn:
        """Hand the wait over to a trigger."""
        self.log.info(  # type: ignore[attr-defined]
            "Deferring until %s %s finishes; the worker slot is released.", poller.noun.lower(), poller.subject_id
        )
        seconds = max(poller.deadline - self.clock.now(), 0) + DEFERRAL_BACKSTOP
        self.defer(  # type: ignore[attr-defined]
            trigger=_trigger(poller, self.seedance_conn_id, reattaches=self.reattaches),
            method_name="execute_complete",
            timeout=timedelta(seconds=seconds),
        )
        raise AssertionError("defer() raises")


def _trigger(poller: BasePoller[Any], conn_id: str, *, reattaches: bool) -> Any:
    from airflow_provider_seedance.api.polling import AssetPoller
    from airflow_provider_seedance.triggers.asset import SeedanceAssetTrigger
    from airflow_provider_seedance.triggers.generation import SeedanceGenerationTrigger

    trigger_type = SeedanceAssetTrigger if isinstance(poller, AssetPoller) else SeedanceGenerationTrigger
    return trigger_type.of(poller, conn_id, reattaches=reattaches)


class GenerationTask(SeedanceTask):
    """Mixin for tasks that submit a generation, wait for it or store it: a link to the video, and its lineage."""

    operator_extra_links: Collection[BaseOperatorLink] = (SeedanceVideoLink(),)
    #: What the extra link opens, once the video exists.
    video_link = Redacted("")
    _lineage_facts: LineageFacts | None = None

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Return the task's datasets and run facet; empty if it has no result. OpenLineage's provider calls this."""
        from airflow_provider_seedance.telemetry.lineage import operator_lineage

        return operator_lineage(self._lineage_facts)

    def _keep_lineage_facts(
        self,
        generation: Generation,
        *,
        request: GenerationRequest | None = None,
        upstream_result: Any = None,
        transfer_result: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Keep what lineage needs; OpenLineage requests it after the task has ended.

        :param upstream_result: What the task was given as its generation: an id, or a result.
        """
        self._lineage_facts = LineageFacts(
            generation=generation,
            base_url=self.hook.endpoint.base_url,
            request=request,
            upstream_result=as_mapping(upstream_result),
            transfer_result=transfer_result,
        )
