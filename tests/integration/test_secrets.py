"""Each secret through each channel: nothing of it reaches a log, an exception, an event or what Airflow stores."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceError
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.assets import SeedanceCreateAssetOperator
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator
from tests.clock import QuickClock
from tests.harness import Task

KEY = "K9f2xQ71mmPz08LwTtVb"
PROMPT = 'a "violet" walrus\ndances in Timbuktu; 紫色的海象在跳舞'
STORY = "TOPSECRET bloopers of Zanzibar"
SIGNATURE = "c0ffee5a1f%3D"

#: Paths and links as people give them, each with a secret in it.
PLACES = {
    "https with a token": f"https://{SIGNATURE}@files.example/a.png",
    "wasbs": f"wasbs://c@acct.blob.core.windows.net/x.png?sv=2024&sig={SIGNATURE}",
    "file": f"file:///no/such.png?X-Amz-Signature={SIGNATURE}",
    "file with blanks": f"file:///no such/a b.png?X-Amz-Signature={SIGNATURE}",
    "ftp": f"ftp://user:{SIGNATURE}@host.invalid/x.png",
    "s3": f"s3://AKIAKEY:{SIGNATURE}@bucket/x.png",
    "local": f"/no/such.png?X-Amz-Signature={SIGNATURE}",
}
#: What must not be found anywhere.
PIECES = (KEY, "violet", "walrus", "timbuktu", "海象", r"\u6d77", "topsecret", "zanzibar", "bloopers", "c0ffee5a1f")

#: How a service quotes a prompt.
QUOTES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "as JSON": json.dumps,
    "as JSON in JSON": lambda text: json.dumps(json.dumps({"content": [{"text": text}]})),
    "upper case, other blanks": lambda text: "  ".join(text.upper().split()),
    "cut short": lambda text: text[3:-2],
}


def echo(quote: Callable[[str], str]) -> str:
    """Return a service's text that repeats all that it was sent."""
    places = " and ".join(PLACES.values())
    return f"Bad input {quote(PROMPT)} and {quote(STORY)} by {KEY} (Bearer {KEY}), see {places} or {json.dumps(places)}"


@dataclass
class Channels:
    """All that a person, a log or Airflow's database is shown."""

    caplog: pytest.LogCaptureFixture
    capsys: pytest.CaptureFixture[str]
    shown: list[str] = field(default_factory=list)

    @contextmanager
    def failure(self) -> Iterator[None]:
        """Take a failure as Airflow logs it, causes included."""
        with pytest.raises(SeedanceError) as caught:
            yield
        error = caught.value
        self.shown += ["".join(traceback.format_exception(error)), repr(error), f"{error.code} {error.request_id}"]

    def task(self, task: Task) -> None:
        """Take a task's events, triggers, record and XComs, but for links that are there to be used."""
        links = ("video_url", "last_frame_url")
        triggers = [deferred.trigger.serialize() for deferred in task.deferrals]
        xcom = {name: value for name, value in task.xcom.items() if name not in links}
        stored = task.store.values if task.store else {}
        self.shown += [json.dumps(part, ensure_ascii=False) for part in (task.events, triggers, xcom, stored)]

    def check(self) -> None:
        """Check that no piece of a secret was shown."""
        captured = self.capsys.readouterr()
        everything = "\n".join([*self.shown, self.caplog.text, captured.out, captured.err]).lower()
        assert len(everything) > 100
        assert [piece for piece in PIECES if piece.lower() in everything] == []


@pytest.fixture
def channels(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Channels:
    """Everything that is shown from here on."""
    caplog.set_level("INFO")
    return Channels(caplog, capsys)


@pytest.fixture
def service(emulator: Emulator, connect: Callable[..., None]) -> Emulator:
    """An emulator with a key that looks like none."""
    emulator.set_api_keys(KEY)
    connect(host=emulator.url, password=KEY)
    return emulator


def video(**arguments: Any) -> SeedanceGenerateVideoOperator:
    given = {"prompt": PROMPT, "extra_body": {"story": {"text": [STORY]}}, "resolution": "480p", "duration": 4}
    return SeedanceGenerateVideoOperator(task_id="generate", **{**given, **arguments})


def submitted() -> str:
    body = {"model": "seedance-2.0", "content": [{"type": "text", "text": PROMPT}]}
    return SeedanceHook().create_generation(body)


QUERIES = {
    "refused": {"status": 400, "json": {"code": "invalid_request", "data": None}},
    "forbidden": {"status": 403, "json": {"code": "access_denied", "data": None}},
    "not found": {"status": 400, "json": {"code": "task_not_exist", "data": None}},
    "out of order": {"status": 500, "json": {"code": "get_task_failed", "data": None}},
    "odd code": {"status": 400, "json": {"code": KEY, "data": None}},
}


@pytest.mark.parametrize("plain", [True, False], ids=["text", "code and text"])
@pytest.mark.parametrize("quote", QUOTES.values(), ids=QUOTES)
@pytest.mark.parametrize("deferrable", [True, False])
def test_failed_generation(
    service: Emulator, channels: Channels, quote: Callable[[str], str], deferrable: bool, plain: bool
) -> None:
    service.fault(route="generation", count=0, fail={"code": "Oops", "message": echo(quote), "plain": plain})
    task = Task(lambda: video(deferrable=deferrable))
    with channels.failure():
        task.run()
    channels.task(task)
    generation_id = submitted()
    service.finish()
    waiting = Task(lambda: SeedanceGenerationSensor(task_id="s", generation=generation_id, deferrable=deferrable))
    with channels.failure():
        waiting.run()
    channels.task(waiting)
    with channels.failure():
        Task(lambda: SeedanceToObjectStorageOperator(task_id="t", generation=generation_id, path="/tmp/none/")).run()
    channels.check()


def test_failed_generation_whose_request_cannot_be_built_any_more(service: Emulator, channels: Channels) -> None:
    service.fault(route="generation", count=0, fail={"code": "Oops", "message": echo(str)})
    made: list[int] = []

    def make() -> SeedanceGenerateVideoOperator:
        made.append(1)
        operator = video(extra_body=None)
        if len(made) > 1:
            operator.rendered_to_nothing = ("prompt",)
        return operator

    task = Task(make)
    with channels.failure():
        task.run()
    assert len(made) == 2
    assert "Oops" in channels.shown[0]
    channels.task(task)
    channels.check()


@pytest.mark.parametrize("fault", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("deferrable", [True, False])
def test_queries_that_fail(service: Emulator, channels: Channels, deferrable: bool, fault: dict[str, Any]) -> None:
    answer = {**fault, "json": {**fault["json"], "message": echo(str)}, "headers": {"X-Request-Id": KEY}}
    generation_id = submitted()
    service.fault(route="query", count=0, **answer)
    for task in (
        Task(lambda: video(deferrable=deferrable, timeout=100)),
        Task(
            lambda: SeedanceGenerationSensor(task_id="s", generation=generation_id, deferrable=deferrable, timeout=100)
        ),
        Task(lambda: SeedanceToObjectStorageOperator(task_id="t", generation=generation_id, path="/tmp/none/")),
    ):
        if isinstance(task.make(), SeedanceGenerationSensor) and not deferrable:
            continue  # it pokes in real time
        with channels.failure():
            task.run()
        channels.task(task)
    channels.shown.append(str(SeedanceHook(clock=QuickClock()).test_connection()))
    channels.check()


@pytest.mark.parametrize("quote", QUOTES.values(), ids=QUOTES)
@pytest.mark.parametrize("status", [400, 401, 402, 413, 429, 500, 502])
@pytest.mark.parametrize("durable", [True, False])
def test_submissions_that_are_refused_or_lost(
    service: Emulator, channels: Channels, quote: Callable[[str], str], status: int, durable: bool
) -> None:
    text = echo(quote)
    service.fault(route="create", count=0, status=status, json={"code": "Oops", "message": text, "data": None})
    task = Task(lambda: video(durable=durable))
    for _ in range(2):  # a lost one is raised again
        with channels.failure():
            task.run()
    channels.task(task)
    with channels.failure():
        SeedanceHook(clock=QuickClock()).create_generation(
            {"content": [{"type": "text", "text": PROMPT}], "story": STORY}
        )
    channels.check()


@pytest.mark.parametrize("text", [echo(str), KEY], ids=["sentence", "key"])
def test_results_of_a_service_that_writes_it_everywhere(service: Emulator, channels: Channels, text: str) -> None:
    link = "https://files.example/v.mp4?sig=c0ffee5a1f"
    inner = {
        **dict.fromkeys(("model", "resolution", "ratio", "id", "service_tier", "frames", "draft"), text),
        **{"status": "succeeded", "content": {"video_url": link}, "usage": {"total_tokens": text}, "seed": text},
    }
    task_data = {**dict.fromkeys(("action", "request_id", "progress", "fail_reason", "model"), text), "data": inner}
    answer = {"code": "success", "message": text, "data": {**task_data, "status": "SUCCESS", "result_url": link}}
    odd = {**answer, "data": {**task_data, "status": text, "data": {"status": text}}}
    operators: list[Any] = []
    service.fault(route="query", count=1, status=200, json=odd)
    service.fault(route="query", count=0, status=200, json=answer)

    def make() -> Any:
        operators.append(video())
        return operators[-1]

    task = Task(make)
    task.run()
    channels.task(task)
    channels.shown.append(repr(operators[-1].get_openlineage_facets_on_complete(None)))
    channels.check()


@pytest.mark.parametrize("place", [PLACES[name] for name in PLACES if name not in ("s3", "ftp")])
def test_places_with_a_secret_in_them(service: Emulator, channels: Channels, place: str) -> None:
    group = SeedanceHook().create_asset_group("heroes")
    generation_id = submitted()
    service.finish()
    tasks = [Task(lambda: video(first_frame=place, prompt="x", extra_body=None))]
    if not place.startswith("https"):
        tasks += [
            Task(lambda: SeedanceCreateAssetOperator(task_id="a", group_id=group, name="n", source=place)),
            Task(lambda: SeedanceToObjectStorageOperator(task_id="t", generation=generation_id, path=place)),
        ]
    if place.startswith(("file", "/")):
        tasks.pop()  # these can be written
    for task in tasks:
        try:
            task.run()
        except SeedanceError as e:
            channels.shown.append("".join(traceback.format_exception(e)))
        channels.task(task)
    channels.shown.append("." * 100)
    channels.check()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_places_in_rendered_fields_and_lineage(service: Emulator, channels: Channels, place: str) -> None:
    with DAG("secrets"):
        operators: list[Any] = [
            video(prompt="{{ place }}", first_frame="{{ place }}", extra_body={"url": "{{ place }}"}),
            SeedanceCreateAssetOperator(task_id="a", group_id="g", name="n", source="{{ place }}"),
            SeedanceToObjectStorageOperator(task_id="t", generation="asyntask_1", path="{{ place }}"),
            SeedanceGenerationSensor(task_id="s", generation={"generation_id": "asyntask_1", "video_url": place}),
        ]
    for operator in operators:
        context: Any = {"place": place, "ti": SimpleNamespace(map_index=-1)}
        operator.render_template_fields(context)
        channels.shown.append(json.dumps(_serialize_rendered_fields(operator)))
    request = video(first_frame=place, prompt="x", extra_body=None).build_request()
    from airflow_provider_seedance.api.generation import Generation
    from airflow_provider_seedance.telemetry.lineage import operator_lineage
    from airflow_provider_seedance.telemetry.lineage_facts import LineageFacts

    for result in (None, {"path": place}):
        facts = LineageFacts(
            generation=Generation(generation_id="asyntask_1"),
            base_url="https://ai.alad.com",
            request=request,
            transfer_result=result,
        )
        channels.shown.append(repr(operator_lineage(facts)))
    channels.check()


def test_key_in_rendered_fields(service: Emulator, channels: Channels) -> None:
    with DAG("secrets"):
        operator = video(prompt="{{ conn }}", extra_body={"a": ["{{ conn }}"]}, model="{{ conn }}")
    context: Any = {"conn": SeedanceHook.get_connection("seedance_default").password}
    operator.render_template_fields(context)
    channels.shown.append(json.dumps(_serialize_rendered_fields(operator)))
    channels.check()


@pytest.mark.parametrize("kind", ["aws", "http", "", "generic"])
def test_key_of_another_type_of_connection_is_not_sent(
    emulator: Emulator, connect: Callable[..., None], channels: Channels, kind: str
) -> None:
    connect(host=emulator.url, password=KEY, conn_type=kind)
    with channels.failure():
        SeedanceHook().list_models()

    async def query() -> None:
        async with SeedanceHook().shared_client() as client:
            await client.get_generation("asyntask_1")

    with channels.failure():
        asyncio.run(query())
    with channels.failure():
        Task(lambda: video()).run()
    assert SeedanceHook().test_connection()[0] is False
    assert emulator.requests() == []
    channels.check()


def test_path_of_a_saved_video_is_pushed_without_its_signature(
    service: Emulator, channels: Channels, tmp_path: Path
) -> None:
    generation_id = submitted()
    service.finish()
    path = f"file://{tmp_path}/v.mp4?X-Amz-Signature={SIGNATURE}"
    task = Task(lambda: SeedanceToObjectStorageOperator(task_id="t", generation=generation_id, path=path))
    assert task.run()["path"] == f"file://{tmp_path}/v.mp4?X-Amz-Signature=[redacted]"
    channels.task(task)
    channels.check()


def test_failure_of_a_request_that_rendered_otherwise_quotes_neither_prompt(
    service: Emulator, channels: Channels
) -> None:
    service.fault(route="generation", fail={"code": "InternalServiceError", "message": f"cannot make {PROMPT}"})
    prompts = iter([PROMPT, "something else"])
    task = Task(lambda: video(prompt=next(prompts), extra_body=None))
    with channels.failure():
        task.run()
    channels.check()
