"""
What runs leave behind holds no secret: no key, no Base64 payload, no link's signature and, in logs, no prompt.

The runs of ``faults/dags/seedance_secrets.py`` succeed, fail in every way, are retried, mapped and deferred, with
services that repeat every secret in their responses. If the fault campaign ran before, what it left is searched too.
"""

from __future__ import annotations

import base64
import io
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from PIL import Image

from airflow_provider_seedance.emulator import Emulator
from tests.e2e.faults.campaign import wait_until
from tests.e2e.faults.residue import Trace, in_database, in_files
from tests.e2e.faults.stage import FaultStage

pytestmark = pytest.mark.timeout(900)

DAG_ID = "seedance_secrets"
#: Seconds until all tasks but the stuck one must have ended.
PATIENCE = 300.0

#: Connections whose services misbehave, and the tasks that use them.
ODD = ("moderated_input", "moderated_output", "failing", "refusing", "unauthorized", "losing", "stuck")

OVER = ("success", "failed", "upstream_failed")
#: Every task that must end well; the others fail.
SUCCEEDING = {
    *("frames", "save_frames", "references", "save_references", "raw", "submitted", "watched"),
    *("save_watched", "requests", "mapped", "save_mapped"),
}


@dataclass(frozen=True)
class Secrets:
    """What must not be found, each in pieces that are recognized even if it is truncated."""

    key: str
    picture: str
    link: str
    prompt: str

    @property
    def payload(self) -> list[str]:
        """Pieces of the Base64 payload."""
        data = self.picture.partition(",")[2]
        return [data[at : at + 40] for at in (0, 100, len(data) // 2, len(data) - 60)]

    @property
    def signature(self) -> list[str]:
        """Values of the pre-signed link's query that must stay private, as they are and quoted."""
        query = dict(parse_qsl(urlsplit(self.link).query))
        values = [query[name] for name in ("X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential")]
        return [*values, *(quote(value, safe="") for value in values if quote(value, safe="") != value)]


@dataclass(frozen=True)
class Residue:
    """What is left when all tasks but the deferred one have ended."""

    secrets: Secrets
    database: list[Trace]
    logs: list[Trace]
    counts: list[Trace]
    states: dict[str, set[str]]


def make_secrets() -> Secrets:
    buffer = io.BytesIO()
    Image.frombytes("RGB", (320, 320), secrets.token_bytes(320 * 320 * 3)).save(buffer, "PNG")
    token = secrets.token_urlsafe(60)
    link = (
        f"https://bucket.s3.amazonaws.com/in/frame.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20990101T000000Z"
        f"&X-Amz-Credential=AKIA{secrets.token_hex(8).upper()}%2F20990101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Expires=900"
        f"&X-Amz-SignedHeaders=host&X-Amz-Security-Token={token}&X-Amz-Signature={secrets.token_hex(32)}"
    )
    return Secrets(
        key=f"sk-{secrets.token_urlsafe(32)}",
        picture=f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}",
        link=link,
        prompt=f"a {secrets.token_hex(8)} dancing with a {secrets.token_hex(8)}",
    )


def services(given: Secrets, stack: ExitStack) -> dict[str, Emulator]:
    """Start a service for each connection; those that fail repeat all the secrets in their responses."""
    some = f"{given.link} and {given.picture[:2000]} and Bearer {given.key} ({given.key})"
    everything = f"'{given.prompt}' with {some}"
    made = {}
    for kind in ("good", *ODD):
        words: dict[str, Any] = {
            f"moderate_{stage}_words": [given.prompt] for stage in ("input", "output") if kind == f"moderated_{stage}"
        }
        made[kind] = stack.enter_context(Emulator(speed=30, api_keys=[given.key], **words))
    # a query has no prompt, and neither has the response to one
    made["good"].fault(route="query", status=500, json=gateway_error(some), count=4)
    made["good"].fault(route="query", status=200, body=f"<html>{some}</html>", count=3)
    made["good"].fault(route="download", status=403, body=f"<Error>{some}</Error>", count=4)
    made["failing"].fault(route="generation", fail={"code": "InternalServiceError", "message": everything})
    made["failing"].fault(route="generation", fail={"code": "x", "message": everything, "plain": True}, count=0)
    made["refusing"].fault(route="create", status=400, json=gateway_error(everything), count=0)
    made["unauthorized"].fault(route="create", status=401, json=openai_error(everything), count=0)
    made["losing"].fault(route="create", status=502, body=f"<html>{everything}</html>", accept=True, count=0)
    made["stuck"].fault(route="generation", stuck=True, count=0)
    return made


def gateway_error(message: str) -> dict[str, Any]:
    return {"code": "get_task_failed", "message": message, "data": None}


def openai_error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "code": "invalid_request"}}


@pytest.fixture(scope="module")
def residue(fault_stage: FaultStage) -> Iterator[Residue]:
    """What a run that met everything has left, while one of its tasks is still deferred."""
    airflow, given = fault_stage.airflow, make_secrets()
    folder = fault_stage.folder / "secrets"
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        for kind, service in services(given, stack).items():
            fault_stage.rest.put_connection(
                f"secrets-{kind}", conn_type="seedance", host=service.url, password=given.key
            )
        airflow.wait_for_dag(DAG_ID)
        conf = {"prompt": given.prompt, "picture": given.picture, "link": given.link, "folder": str(folder)}
        run_id = fault_stage.rest.trigger(DAG_ID, conf)
        found: list[dict[str, Any]] = []

        def over() -> bool:
            found[:] = fault_stage.rest.task_instances(DAG_ID, run_id)
            return all(
                task["state"] == "deferred" if task["task_id"] == "stuck" else task["state"] in OVER for task in found
            )

        wait_until(over, f"the end of {run_id}", PATIENCE)
        states: dict[str, set[str]] = {}
        for task in found:
            states.setdefault(task["task_id"], set()).add(task["state"])
        yield Residue(
            given,
            list(in_database(fault_stage.postgres.dsn, airflow.environment["AIRFLOW__CORE__FERNET_KEY"])),
            list(in_files(airflow.logs)),
            [Trace("statsd", line) for line in fault_stage.statsd.lines],
            states,
        )
        fault_stage.rest.mark(DAG_ID, run_id, "stuck", "failed")


def holding(traces: list[Trace], pieces: list[str]) -> list[Trace]:
    return [trace for trace in traces if any(piece in trace.text for piece in pieces)]


def is_own_input(trace: Trace) -> bool:
    """Return whether the test itself put it there: in the run's params, as stored and as logged by Airflow."""
    if trace.place == "dag_run.conf":
        return True
    if trace.place == "log.extra" and trace.row.get("event") == "trigger_dag_run":
        return True
    return trace.place == "xcom.value" and trace.row.get("task_id") == "requests"


def places_of(traces: list[Trace]) -> str:
    """Return where secrets were found, without them."""
    return "\n".join(sorted({str(trace) for trace in traces}))


def test_tasks_ended_as_they_were_made_to(residue: Residue) -> None:
    """Otherwise, finding nothing would mean nothing."""
    assert {task for task, states in residue.states.items() if states == {"success"}} == SUCCEEDING
    assert residue.states["stuck"] == {"deferred"}
    failed = {task for task, states in residue.states.items() if states == {"failed"}}
    assert failed == set(residue.states) - SUCCEEDING - {"stuck"}
    assert failed >= set(ODD) - {"stuck"}


def test_everything_was_walked(residue: Residue) -> None:
    """The secrets are where they were put in, and every kind of place was searched."""
    given = residue.secrets
    for pieces in (given.payload, given.signature, [given.prompt]):
        assert {"dag_run.conf", "xcom.value"} <= {trace.place for trace in holding(residue.database, pieces)}
    places = {trace.place.partition(".")[0] for trace in residue.database}
    assert {"rendered_task_instance_fields", "trigger", "serialized_dag", "task_state_store", "log"} <= places
    files = {trace.place for trace in residue.logs}
    components = ("api-server", "scheduler", "dag-processor", "triggerer", "triggerer-2")
    assert {f"components/{name}.log" for name in components} <= files
    assert any("task_id=frames" in name and "trigger" in name for name in files)
    assert any("seedance.generations.submitted" in trace.text for trace in residue.counts)


def test_key_is_nowhere(residue: Residue) -> None:
    assert places_of(holding(residue.database + residue.logs + residue.counts, [residue.secrets.key])) == ""


def test_payload_is_nowhere_but_where_it_was_put_in(residue: Residue) -> None:
    found = holding(residue.database + residue.logs + residue.counts, residue.secrets.payload)
    assert places_of([trace for trace in found if not is_own_input(trace)]) == ""


def test_signature_of_an_input_link_is_nowhere_but_where_it_was_put_in(residue: Residue) -> None:
    found = holding(residue.database + residue.logs + residue.counts, residue.secrets.signature)
    assert places_of([trace for trace in found if not is_own_input(trace)]) == ""


def test_signature_of_a_result_link_is_only_in_the_xcom_that_carries_the_link(residue: Residue) -> None:
    signatures = {
        signature
        for trace in residue.database
        if trace.place == "xcom.value"
        for signature in re.findall(r"X-Tos-Signature=([0-9a-f]{64})", trace.text)
    }
    assert signatures
    found = holding(residue.database + residue.logs + residue.counts, [*signatures, "X-Tos-Signature="])
    carriers = ("return_value", "video_url", "last_frame_url", "_link_SeedanceVideoLink")
    assert places_of([t for t in found if not (t.place == "xcom.value" and t.row["key"] in carriers)]) == ""


def test_prompt_is_in_no_log_and_no_count(residue: Residue) -> None:
    assert places_of(holding(residue.logs + residue.counts, [residue.secrets.prompt])) == ""


def test_record_of_a_submission_holds_no_prompt(residue: Residue) -> None:
    stores = [trace for trace in residue.database if trace.place.startswith(("task_state_store.", "trigger."))]
    assert places_of(holding(stores, [residue.secrets.prompt])) == ""
