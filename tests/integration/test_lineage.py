"""What OpenLineage receives, through its own provider and client: extractor, adapter, redaction and serialization."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import attrs
import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.providers.openlineage.extractors.base import OperatorLineage
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from airflow.utils.state import TaskInstanceState
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.serde import Serde
from openlineage.client.transport.transport import Transport
from PIL import Image

from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceGenerationFailedError
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from airflow_provider_seedance.telemetry.lineage import SeedanceRunFacet, operator_lineage
from airflow_provider_seedance.telemetry.lineage_facts import LineageFacts
from tests.harness import Task

PROMPT = "my secret plan"
SIGNATURE = "0123456789abcdef0123456789abcdef"
MANY_MEDIA = {
    "reference_videos": [f"https://example.com/clip.mp4?X-Amz-Signature={SIGNATURE}"],
    "reference_audios": ["https://example.com/song.mp3"],
}


class Sent(Transport):
    """Keeps what the client would send."""

    kind = "kept"

    def __init__(self) -> None:
        self.events: list[str] = []

    def emit(self, event: Any) -> None:
        self.events.append(Serde.to_json(event))


def after(make: Callable[[], BaseOperator]) -> BaseOperator:
    """Run a task, and return the operator that OpenLineage asks: the one that resumed, if it deferred."""
    made: list[BaseOperator] = []

    def remembered() -> BaseOperator:
        made.append(make())
        return made[-1]

    Task(remembered).run()
    return made[-1]


def generate(**arguments: Any) -> BaseOperator:
    given = {"prompt": PROMPT, "resolution": "480p", "duration": 4, "poll_interval": 0.1, **arguments}
    return after(lambda: SeedanceGenerateVideoOperator(task_id="generate", **given))


def extracted(
    operator: BaseOperator, state: TaskInstanceState = TaskInstanceState.SUCCESS
) -> OperatorLineage[Any, Any]:
    """Return the lineage as the listener requests it."""
    dagrun, ti = SimpleNamespace(run_id="manual__1"), SimpleNamespace(task=operator)
    return ExtractorManager().extract_metadata(dagrun, operator, state, ti)


def emitted(lineage: OperatorLineage[Any, Any]) -> Any:
    """Return the event as sent: built, redacted, checked and serialized by OpenLineage's own code."""
    transport = Sent()
    OpenLineageAdapter(client=OpenLineageClient(transport=transport)).complete_task(
        run_id=str(uuid4()),
        job_name="dag.generate",
        end_time="2026-01-01T00:00:00+00:00",
        task=lineage,
        nominal_start_time=None,
        nominal_end_time=None,
        owners=None,
        tags=None,
        job_description=None,
    )
    (event,) = transport.events
    assert "non-serializable" not in event
    return json.loads(event)


def event_of(operator: BaseOperator) -> Any:
    return emitted(extracted(operator))


def names(datasets: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(dataset["namespace"], dataset["name"]) for dataset in datasets]


def service(emulator: Emulator) -> str:
    return emulator.url.replace("http://", "seedance://")


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "cat.png"
    Image.new("RGB", (400, 400), "red").save(path)
    return str(path)


def data_uri() -> str:
    file = io.BytesIO()
    Image.effect_noise((400, 400), 50).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


# -- datasets


@pytest.mark.parametrize("deferrable", [True, False])
def test_media_are_inputs_and_the_generation_is_the_output(emulator: Emulator, image: str, deferrable: bool) -> None:
    operator = generate(reference_images=[image, image, data_uri()], **MANY_MEDIA, deferrable=deferrable)
    event = event_of(operator)
    assert names(event["inputs"]) == [
        ("file", image),
        ("https://example.com", "/clip.mp4"),
        ("https://example.com", "/song.mp3"),
    ]
    assert names(event["outputs"]) == [(service(emulator), f"generation/{emulator.generations()[0]['id']}")]


def test_media_of_raw_content_are_inputs(emulator: Emulator) -> None:
    content = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}, "role": "first_frame"},
        {"type": "image_url", "image_url": {"url": data_uri()}, "role": "last_frame"},
    ]
    event = event_of(generate(prompt=None, content=content))
    assert names(event["inputs"]) == [("https://example.com", "/cat.png")]
    facet = event["run"]["facets"]["seedance"]
    assert facet["prompt_fingerprint"] == sha256(PROMPT.encode()).hexdigest()
    assert PROMPT not in json.dumps(event)


def test_generation_that_is_not_waited_for_is_told_by_its_id(emulator: Emulator) -> None:
    event = event_of(generate(wait_for_completion=False))
    generation_id = emulator.generations()[0]["id"]
    assert names(event["outputs"]) == [(service(emulator), f"generation/{generation_id}")]
    facet = event["run"]["facets"]["seedance"]
    assert facet["generation_id"] == generation_id
    assert facet["resolution"] == "480p"
    assert "total_tokens" not in facet


@pytest.mark.parametrize("way", [{}, {"deferrable": False}, {"deferrable": False, "mode": "reschedule"}])
def test_sensor_tells_what_the_service_says(emulator: Emulator, way: dict[str, Any]) -> None:
    submitted = Task(
        lambda: SeedanceGenerateVideoOperator(
            task_id="generate", prompt=PROMPT, resolution="480p", duration=4, wait_for_completion=False
        )
    ).run()
    emulator.finish()
    given = {"generation_id": submitted, "expected_tokens": 41, "prompt_fingerprint": PROMPT}
    event = event_of(
        after(lambda: SeedanceGenerationSensor(task_id="wait", generation=given, poke_interval=0.1, **way))
    )
    assert event["inputs"] == []
    assert names(event["outputs"]) == [(service(emulator), f"generation/{submitted}")]
    facet = event["run"]["facets"]["seedance"]
    assert (facet["generation_id"], facet["resolution"], facet["expected_tokens"]) == (submitted, "480p", 41)
    assert facet["total_tokens"] > 1000
    assert "prompt_fingerprint" not in facet, "it must be one"


def test_task_without_a_result_tells_nothing(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    emulator.fault(route="generation", fail={"code": "InternalServiceError", "message": "boom"})
    made: list[BaseOperator] = []

    def make() -> BaseOperator:
        made.append(SeedanceGenerateVideoOperator(task_id="generate", prompt=PROMPT, poll_interval=0.1))
        return made[-1]

    with pytest.raises(SeedanceGenerationFailedError):
        Task(make).run()
    for state in (TaskInstanceState.RUNNING, TaskInstanceState.FAILED):
        assert extracted(made[-1], state) == OperatorLineage()
    assert "OpenLineage" not in caplog.text


def test_setting_that_is_no_truth_value_costs_the_lineage_and_not_the_task(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEEDANCE__LINEAGE_PROMPT", "perhaps")
    assert extracted(generate()) == OperatorLineage()


# -- the run facet


def test_run_facet_says_what_was_asked_used_and_billed(emulator: Emulator) -> None:
    operator = generate(ratio="9:16", seed=7, generate_audio=False, watermark=True, web_search=True)
    generation = emulator.generations()[0]
    tokens = 496 * 864 * (24 * 4 + 1) // 1024
    facet = event_of(operator)["run"]["facets"]["seedance"]
    said = SeedanceHook().get_generation(generation["id"])
    assert {name: value for name, value in facet.items() if not name.startswith("_")} == {
        "generation_id": generation["id"],
        "request_id": said.request_id,
        "model": said.model,
        "resolution": "480p",
        "ratio": "9:16",
        "duration": 4,
        "seed": 7,
        "generate_audio": False,
        "watermark": True,
        "web_search": True,
        "total_tokens": tokens,
        "expected_tokens": tokens,
        "prompt_fingerprint": sha256(PROMPT.encode()).hexdigest(),
    }
    assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")
    assert facet["_producer"]


def test_each_member_of_the_facet_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lineage.md").read_text()
    for member in attrs.fields_dict(SeedanceRunFacet):
        assert member.startswith("_") or f"`{member}`" in page


def test_client_takes_the_event_as_one_of_its_own(emulator: Emulator) -> None:
    """Its classes check run id, time and addresses; parsing the event proves that nothing was lost."""
    emulator.asset_options(unknown="accept")
    lineage = extracted(generate(**MANY_MEDIA, reference_images=["asset://asset-20260101-abc"]))
    assert all(type(dataset) is InputDataset for dataset in lineage.inputs)
    assert all(type(dataset) is OutputDataset for dataset in lineage.outputs)
    event = RunEvent(
        eventType=RunState.COMPLETE,
        eventTime="2026-01-01T00:00:00+00:00",
        run=Run(runId=str(uuid4()), facets=lineage.run_facets),
        job=Job(namespace="default", name="dag.generate"),
        inputs=lineage.inputs,
        outputs=lineage.outputs,
    )
    read = json.loads(Serde.to_json(event))
    facet = {name.removeprefix("_"): value for name, value in read["run"]["facets"]["seedance"].items()}
    schema = facet.pop("schemaURL")
    assert SeedanceRunFacet(**facet) == lineage.run_facets["seedance"]
    assert schema == json.loads(Serde.to_json(SeedanceRunFacet()))["_schemaURL"]
    assert [InputDataset(**dataset) for dataset in read["inputs"]] == lineage.inputs


# -- secrets


def everything_secret(image: str) -> BaseOperator:
    return generate(reference_images=[image, data_uri()], **MANY_MEDIA, extra_body={"x": "sk-abcdefghijklmnopqrstuvwx"})


def test_event_holds_neither_prompt_nor_key_nor_payload_nor_signature(emulator: Emulator, image: str) -> None:
    event = json.dumps(event_of(everything_secret(image)))
    for secret in ("secret plan", "sk-", "base64", "iVBOR", SIGNATURE, "?", "Signature", "video_url"):
        assert secret not in event


def test_prompt_is_told_when_asked_for_and_nothing_else(
    emulator: Emulator, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEEDANCE__LINEAGE_PROMPT", "True")
    event = event_of(everything_secret(image))
    assert event["run"]["facets"]["seedance"]["prompt"] == PROMPT
    for secret in ("sk-", "base64", "iVBOR", SIGNATURE):
        assert secret not in json.dumps(event)


def test_link_in_a_prompt_that_is_told_loses_its_query(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SEEDANCE__LINEAGE_PROMPT", "True")
    event = event_of(generate(prompt=f"a cat as on https://example.com/cat?Signature={SIGNATURE}"))
    assert event["run"]["facets"]["seedance"]["prompt"].startswith("a cat as on https://example.com/cat")
    assert SIGNATURE not in json.dumps(event)


# -- transfers


def test_stored_files_are_the_outputs_of_a_transfer(emulator: Emulator) -> None:
    made = emulator_generation(emulator)
    generation = SeedanceHook().get_generation(made)
    result = {
        "path": "s3://my_conn@bucket/videos/cat.mp4",
        "size": 1234,
        "sha256": "ab" * 32,
        "content_type": "video/mp4",
        "duration": 4.0,
        "generation_id": made,
        "last_frame": {"path": "s3://my_conn@bucket/videos/cat.png", "size": 12, "sha256": "cd" * 32},
    }
    given = {**generation.to_result(expected_tokens=41), "prompt_fingerprint": sha256(PROMPT.encode()).hexdigest()}
    facts = LineageFacts(generation=generation, base_url=emulator.url, upstream_result=given, transfer_result=result)
    event = emitted(operator_lineage(facts))
    assert names(event["inputs"]) == [(service(emulator), f"generation/{made}")]
    assert names(event["outputs"]) == [("s3://bucket", "videos/cat.mp4"), ("s3://bucket", "videos/cat.png")]
    video, frame = event["outputs"]
    assert video["outputFacets"]["outputStatistics"]["size"] == 1234
    assert video["facets"]["version"]["datasetVersion"] == f"sha256:{'ab' * 32}"
    assert frame["outputFacets"]["outputStatistics"]["size"] == 12
    facet = event["run"]["facets"]["seedance"]
    assert (facet["generation_id"], facet["total_tokens"]) == (made, generation.total_tokens)
    assert (facet["expected_tokens"], facet["prompt_fingerprint"]) == (41, given["prompt_fingerprint"])
    assert "Signature" not in json.dumps(event)


def test_transfer_that_knows_little_tells_little(emulator: Emulator) -> None:
    known = Generation(generation_id="asyntask_a")
    stored = {"path": "/data/cat.mp4"}
    event = emitted(operator_lineage(LineageFacts(generation=known, base_url=emulator.url, transfer_result=stored)))
    assert names(event["inputs"]) == [(service(emulator), "generation/asyntask_a")]
    assert names(event["outputs"]) == [("file", "/data/cat.mp4")]
    facet = event["run"]["facets"]["seedance"]
    assert {name for name in facet if not name.startswith("_")} == {"generation_id"}


def emulator_generation(emulator: Emulator) -> str:
    body = {"model": "seedance-2.0", "content": [{"type": "text", "text": PROMPT}], "duration": 4, "resolution": "480p"}
    made = SeedanceHook().create_generation(body)
    emulator.finish()
    return made
