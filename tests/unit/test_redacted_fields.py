"""What is rendered into template fields: hidden from what Airflow stores, and used in full all the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_seedance.api.redact import Redacted, unwrap, wrap
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

PAYLOAD = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(300)).decode()
DATA_URI = f"data:image/png;base64,{PAYLOAD}"
SIGNATURE = "5a1f5a1f5a1f5a1f"
SIGNED_LINK = f"https://bucket.example/cat.png?X-Amz-Expires=43200&X-Amz-Signature={SIGNATURE}"
LOGIN_LINK = f"https://reader:{SIGNATURE}@files.example/cat.png"
KEY = "sk-0123456789abcdef0123456789"
SECRETS = {"data URI": (DATA_URI, PAYLOAD), "signed link": (SIGNED_LINK, SIGNATURE), "key": (KEY, KEY)}
PLAIN = "https://bucket.example/dog.png"


def render(task: Any, map_index: int = -1, **context: Any) -> Any:
    """Render a task as a worker does before it runs, and return the task that would be executed."""
    ti = SimpleNamespace(map_index=map_index, task=task)
    full: dict[str, Any] = {"ti": ti, "task": task, "dag": task.dag, "dag_run": SimpleNamespace(conf={}), **context}
    task.render_template_fields(full)
    return full["task"]


def stored(task: Any) -> str:
    """Return what Airflow writes into its database of a rendered task."""
    return json.dumps(_serialize_rendered_fields(task))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], dict[str, Any]]:
    """Give the request of a rendered operator as it would be sent, media not expanded."""
    monkeypatch.setenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", json.dumps({"conn_type": "seedance", "password": "sk-k"}))
    return lambda operator: operator.build_request().to_json()


def urls(body: dict[str, Any]) -> list[str]:
    return [item["image_url"]["url"] for item in body["content"] if "image_url" in item]


@pytest.mark.parametrize(("value", "secret"), SECRETS.values(), ids=SECRETS)
def test_a_rendered_secret_is_not_stored_in_any_field(value: str, secret: str) -> None:
    with DAG("d"):
        fields: Any = dict.fromkeys(("prompt", "first_frame", "model", "ratio", "seedance_conn_id"), "{{ value }}")
        task = SeedanceGenerateVideoOperator(
            task_id="t",
            **fields,
            content=[{"type": "text", "text": "{{ value }}"}],
            extra_body={"callback_url": "{{ value }}"},
            reference_images=["{{ value }}", PLAIN],
        )
    task = render(task, value=value)
    assert secret not in stored(task)
    assert "redacted" in stored(task)
    assert unwrap(task.prompt) == unwrap(task.first_frame) == value
    assert unwrap(task.extra_body) == {"callback_url": value}
    assert unwrap(task.reference_images) == [value, PLAIN]


@pytest.mark.parametrize("value", [DATA_URI, SIGNED_LINK], ids=["data URI", "signed link"])
def test_what_was_hidden_is_sent_in_full(sent: Callable[[Any], dict[str, Any]], value: str) -> None:
    with DAG("d"):
        task = SeedanceGenerateVideoOperator(
            task_id="t", prompt="@image1 and @image2", reference_images=["{{ value }}", PLAIN]
        )
    assert urls(sent(render(task, value=value))) == [value, PLAIN]


def test_a_secret_written_into_the_dag_file_is_hidden_as_well(sent: Callable[[Any], dict[str, Any]]) -> None:
    with DAG("d"):
        task = SeedanceGenerateVideoOperator(task_id="t", prompt="a cat", first_frame=SIGNED_LINK)
    rendered = render(task)
    assert SIGNATURE not in stored(rendered)
    assert urls(sent(rendered)) == [SIGNED_LINK]


@pytest.mark.parametrize("map_index", [0, 1])
def test_mapped_tasks_hide_theirs_too(sent: Callable[[Any], dict[str, Any]], map_index: int) -> None:
    given_links = [SIGNED_LINK, f"{SIGNED_LINK}&n=2"]
    with DAG("d"):
        mapped = SeedanceGenerateVideoOperator.partial(task_id="t", prompt="a cat").expand(first_frame=given_links)
    task = render(mapped, map_index=map_index)
    assert SIGNATURE not in stored(task)
    assert "https://bucket.example/cat.png" in stored(task)
    assert urls(sent(task)) == [given_links[map_index]]


@pytest.mark.parametrize("kind", [SeedanceGenerationSensor, SeedanceToObjectStorageOperator])
@pytest.mark.parametrize("is_mapped", [False, True], ids=["plain", "mapped"])
def test_the_link_in_a_result_is_not_stored_with_the_tasks_that_take_it(kind: Any, is_mapped: bool) -> None:
    result = {
        "generation_id": "asyntask_abc",
        "video_url": SIGNED_LINK,
        "duration": 5,
        "metadata": {"x": [SIGNED_LINK]},
    }
    target = {"path": "file:///tmp/x/"} if kind is SeedanceToObjectStorageOperator else {}
    with DAG("d"):
        if is_mapped:
            task = render(kind.partial(task_id="t", **target).expand(generation=[result]), map_index=0)
        else:
            task = render(kind(task_id="t", generation=result, **target))
    assert SIGNATURE not in stored(task)
    assert "asyntask_abc" in stored(task)
    assert unwrap(task.generation) == result


def test_a_target_with_a_password_in_it_is_hidden() -> None:
    with DAG("d"):
        task = SeedanceToObjectStorageOperator(
            task_id="t", generation="asyntask_abc", path=f"sftp://reader:{SIGNATURE}@files.example/videos/"
        )
    task = render(task)
    assert SIGNATURE not in stored(task)
    assert SIGNATURE in unwrap(task.path)


def test_values_without_a_secret_are_stored_as_they_are() -> None:
    with DAG("d"):
        task = SeedanceGenerateVideoOperator(
            task_id="t", prompt="{{ value }}", reference_images=[PLAIN, "asset://asset-20260427160000-abcde"], seed=7
        )
    task = render(task, value="a cat plays @image1 beside @image2")
    assert task.prompt == "a cat plays @image1 beside @image2"
    fields = _serialize_rendered_fields(task)
    assert fields["prompt"] == task.prompt
    assert fields["reference_images"] == [PLAIN, "asset://asset-20260427160000-abcde"]
    assert fields["seed"] == 7


# -- wrapping and unwrapping


@pytest.mark.parametrize("value", [DATA_URI, SIGNED_LINK, LOGIN_LINK, KEY, f"see {SIGNED_LINK} now"])
def test_hidden_shows_itself_redacted(value: str) -> None:
    hidden = wrap(value)
    assert isinstance(hidden, Redacted)
    for shown in (repr(hidden), str(hidden), f"{hidden}", hidden.serialize(), str([hidden]), str({"a": hidden})):
        assert PAYLOAD not in shown
        assert SIGNATURE not in shown
        assert KEY not in shown
    assert unwrap(hidden) == value


_secrets = st.sampled_from([DATA_URI, SIGNED_LINK, KEY])
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | _secrets,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_values)
def test_reveal_undoes_hide(value: Any) -> None:
    assert unwrap(wrap(value)) == value


@given(st.lists(_secrets | st.text(max_size=5), min_size=1))
def test_hidden_values_show_no_secret_however_deep(values: list[str]) -> None:
    shown = repr(wrap({"a": [{"b": values}], "c": tuple(values)}))
    assert PAYLOAD not in shown
    assert SIGNATURE not in shown
    assert KEY not in shown
