"""Where media may be read from: the setting, and what a Dag's own code names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, BaseOperator, ObjectStoragePath, task_group
from airflow.sdk.io import store
from airflow.serialization import serialized_objects
from PIL import Image

from airflow_provider_seedance.exceptions import SeedanceRequestError
from airflow_provider_seedance.files.inputs import load_media, read_source
from airflow_provider_seedance.files.places import check_origin, check_place
from airflow_provider_seedance.operators.assets import SeedanceCreateAssetOperator
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

SETTING = "AIRFLOW__SEEDANCE__ALLOWED_MEDIA_ROOTS"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture in ``media``, and one in ``private`` beside it, to which ``media/link`` leads."""
    for folder in ("media", "private"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (320, 320), "teal").save(tmp_path / folder / "cat.png")
    (tmp_path / "media" / "link").symlink_to(tmp_path / "private")
    (tmp_path / "media" / "link.png").symlink_to(tmp_path / "private" / "cat.png")
    return tmp_path / "media" / "cat.png"


def operator(given: Any, rendered: Any = None, *, mapped: bool = False, **constant: Any) -> Any:
    """Make and render an operator as Airflow does; ``rendered`` is what another task or a Param gave."""
    with DAG("d", params={"x": rendered if isinstance(rendered, str) else ""}) as dag:
        if mapped:
            from_xcom = isinstance(given, Upstream)
            task: Any = SeedanceGenerateVideoOperator.partial(task_id="t", prompt="A cat", **constant).expand(
                first_frame=BaseOperator(task_id="u").output if from_xcom else given
            )
            if from_xcom:
                task = task.unmap({"first_frame": given.value})
        else:
            task = SeedanceGenerateVideoOperator(task_id="t", prompt="A cat", first_frame=given)
    context: dict[str, Any] = {
        "ti": SimpleNamespace(map_index=0),
        "dag": dag,
        "dag_run": SimpleNamespace(conf={}),
        "params": {"x": rendered},
        "task": task,
    }
    task.render_template_fields(context)
    return context["task"]


class Upstream:
    """What another task pushed."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def resolve(self, context: Any) -> Any:
        return self.value


@pytest.fixture(autouse=True)
def _connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEEDANCE_DEFAULT", '{"conn_type": "seedance", "password": "sk-k"}')


def refusal(task: Any) -> str:
    with pytest.raises(SeedanceRequestError) as refused:
        load_media(task.build_request().media, now=0)
    assert refused.value.field == "first_frame"
    return str(refused.value)


def is_sent(task: Any) -> bool:
    (sent,) = load_media(task.build_request().media, now=0)
    return sent.startswith("data:image/png;base64,")


# -- without the setting: the worker's own files only where the Dag's code names them ----------------------------------


def test_local_file_that_the_dag_names_is_sent(picture: Path) -> None:
    assert is_sent(operator(str(picture)))
    assert is_sent(operator(picture))
    assert is_sent(operator(f"file://{picture}"))
    assert is_sent(operator([str(picture)], mapped=True))
    assert operator(["asset://a"], mapped=True, last_frame=str(picture)).build_request().media[1].value == str(picture)
    assert is_sent(operator(f"{picture.parent}/{{{{ params.x }}}}.png", "cat"))
    assert is_sent(operator(f"{picture.parents[1]}/{{% if 1 %}}media{{% endif %}}/cat.png"))


def in_group(given: list[str], *, kwargs: bool = False) -> Any:
    """Make and render the first instance of an operator in a group that is mapped over ``given``, in another group."""
    with DAG("d") as dag:

        @task_group
        def inner(img: Any) -> None:
            SeedanceGenerateVideoOperator(task_id="t", prompt="A cat", first_frame=img)

        if kwargs:
            inner.expand_kwargs([{"img": value} for value in given])
        else:
            inner.expand(img=given)
    (task,) = dag.tasks
    values = [{"img": value} for value in given]
    ti = SimpleNamespace(map_index=0, task=task)
    with pytest.MonkeyPatch.context() as patch:
        group: Any = task.get_closest_mapped_task_group()
        patch.setattr(type(group._expand_input), "resolve", lambda *_: (values[0], set()))  # noqa: SLF001
        task.render_template_fields({"ti": ti, "dag": dag, "task": task})  # type: ignore[typeddict-item]
    return task


def test_local_file_that_a_mapped_group_is_given_is_sent(picture: Path) -> None:
    assert is_sent(in_group([str(picture)]))
    assert is_sent(in_group([str(picture)], kwargs=True))


def test_folder_of_the_dag_is_named_by_its_template(picture: Path) -> None:
    for given, allowed in (("{{ dag.folder }}/{{ params.x }}", True), ("{{ params.y }}/{{ params.x }}", False)):
        with DAG("d") as dag:
            task: Any = SeedanceGenerateVideoOperator(task_id="t", prompt="A cat", first_frame=given)
        dag.fileloc = str(picture.parent / "dag.py")
        task.render_template_fields({"dag": dag, "params": {"x": "cat.png", "y": dag.folder}})
        if allowed:
            assert is_sent(task)
        else:
            assert "allowed_media_roots" in refusal(task)


def test_macros_of_the_dag_name_folders(picture: Path) -> None:
    for given, allowed in (("/data", False), (str(picture.parent), True), (picture.parent, True)):
        with DAG("d", user_defined_macros={"root": given, "make": str}) as dag:
            task: Any = SeedanceGenerateVideoOperator(task_id="t", prompt="A cat", first_frame="{{ params.x }}")
        task.render_template_fields({"dag": dag, "params": {"x": str(picture)}})
        if allowed:
            assert is_sent(task)
        else:
            assert "allowed_media_roots" in refusal(task)


def test_each_branch_of_a_template_names_its_file(picture: Path) -> None:
    other = picture.with_name("dog.png")
    for branch in (1, 0):
        assert is_sent(operator(f"{{% if not {branch} %}} {picture} {{%- else -%}} {picture} {{% endif %}}"))
    assert is_sent(
        operator(f"{{% if 0 %}}{other}{{% else %}}{picture.parent}/{{{{ params.x }}}}.png{{% endif %}}", "cat")
    )
    text = f"{{% if 1 %}}{{{{ params.x }}}}{{% endif %}}{picture.parent}"
    assert "allowed_media_roots" in refusal_of(str(picture), text)


@pytest.mark.parametrize("named", ["{% if 1 %}/cat.png{% else %}/dog.png{% endif %}"])
def test_branch_in_the_root_names_only_itself(named: str) -> None:
    for file in ("/cat.png", "/dog.png"):
        check_origin(file, {named}, "first_frame")
    assert "allowed_media_roots" in refusal_of("/bird.png", named)


def refusal_of(value: str, *texts: str) -> str:
    with pytest.raises(SeedanceRequestError) as refused:
        check_origin(value, set(texts), "first_frame")
    return str(refused.value)


def test_prompt_names_no_folder(picture: Path) -> None:
    prompt = str(picture.parent)
    with DAG("d", params={"x": str(picture)}) as dag:
        plain: Any = SeedanceGenerateVideoOperator(task_id="t", prompt=prompt, first_frame="{{ params.x }}")
        by_prompt: Any = SeedanceGenerateVideoOperator.partial(task_id="u", first_frame="{{ params.x }}").expand(
            prompt=[prompt]
        )
        by_frame: Any = SeedanceGenerateVideoOperator.partial(task_id="v", prompt=prompt).expand(
            first_frame=["{{ params.x }}"]
        )
    for task in (plain, by_prompt, by_frame):
        context: Any = {
            "ti": SimpleNamespace(map_index=0),
            "dag": dag,
            "dag_run": SimpleNamespace(conf={}),
            "params": {"x": str(picture)},
            "task": task,
        }
        task.render_template_fields(context)
        assert "allowed_media_roots" in refusal(context["task"])


def test_dag_with_path_objects_can_be_serialized(picture: Path) -> None:
    with DAG("d") as dag:
        paths: tuple[Any, ...] = (picture, ObjectStoragePath(f"file://{picture}"))
        for number, path in enumerate(paths):
            SeedanceCreateAssetOperator(task_id=f"a{number}", group_id="g", name="n", source=path)
            SeedanceToObjectStorageOperator(task_id=f"s{number}", generation="asyntask_1", path=path)
    serialization: Any = getattr(serialized_objects, "DagSerialization", serialized_objects.SerializedDAG)
    stored = json.dumps(serialization.to_dict(dag))
    assert stored.count(str(picture)) == 4


def test_local_file_that_a_param_or_another_task_names_is_refused(picture: Path) -> None:
    for task in (
        operator("{{ params.x }}", str(picture)),
        operator("{{ params.x }}", f"file://{picture}"),
        operator("{{ params.x }}", f"FILE://{picture}"),
        operator("{{ params.x }}", f"local://{picture}"),
        operator("/{{ params.x }}", str(picture)[1:]),
        operator("file:///{{ params.x }}", str(picture)[1:]),
        operator(Upstream(str(picture))),
        operator(Upstream(str(picture)), mapped=True),
        operator(Upstream(picture), mapped=True),
        operator(f"{picture.parent}/{{{{ params.x }}}}/cat.png", "../private"),
        operator(f"{picture.parent}/{{{{ params.x }}}}.png", "link/cat"),
        operator(f"{picture.parent}/{{{{ params.x }}}}.png", "link"),
    ):
        assert "allowed_media_roots" in refusal(task)


@pytest.mark.parametrize("value", ["https://a.example/cat.png", "asset://asset-1", "s3://bucket/cat.png"])
def test_what_is_no_local_file_may_come_from_anywhere(value: str) -> None:
    assert operator("{{ params.x }}", value).build_request().media[0].value == value


def test_raw_content_is_checked_too(picture: Path) -> None:
    with DAG("d"):
        task = SeedanceGenerateVideoOperator(
            task_id="t", content=[{"type": "image_url", "image_url": {"url": "{{ params.x }}"}}]
        )
    task.render_template_fields({"params": {"x": str(picture)}})
    with pytest.raises(SeedanceRequestError, match="allowed_media_roots") as refused:
        task.build_request()
    assert refused.value.field == "content[0]"


def test_source_of_an_asset_is_checked_before_it_is_read(picture: Path) -> None:
    with DAG("d"):
        task = SeedanceCreateAssetOperator(task_id="t", group_id="g", name="n", source="{{ params.x }}")
    task.render_template_fields({"params": {"x": str(picture)}})
    with pytest.raises((SeedanceRequestError, AirflowFailException), match=r"source is .* allowed_media_roots"):
        task.execute({})


# -- with the setting: everything that is read must be in one of its folders -------------------------------------------


def test_file_in_a_listed_folder_may_come_from_anywhere(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for listed in (str(picture.parent), f"s3://b, file://{picture.parent}/", f"{picture.parents[1]}/private/../media"):
        monkeypatch.setenv(SETTING, listed)
        assert is_sent(operator("{{ params.x }}", str(picture)))
        assert is_sent(operator(Upstream(f"file://{picture}")))


def test_file_outside_the_listed_folders_is_refused_whoever_names_it(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, str(picture.parent))
    private = picture.parents[1] / "private" / "cat.png"
    sibling = picture.parents[1] / "media-private"
    sibling.mkdir()
    os.link(private, sibling / "cat.png")
    for value in (
        private,
        sibling / "cat.png",
        picture.parent / "link" / "cat.png",
        picture.parent / "link.png",
        picture.parent / ".." / "private" / "cat.png",
    ):
        assert "outside the folders" in refusal(operator(str(value)))
        assert "outside the folders" in refusal(operator(f"file://{value}"))
        with pytest.raises(SeedanceRequestError, match="outside the folders"):
            read_source(str(value))


@pytest.mark.parametrize(
    ("listed", "value", "allowed"),
    [
        ("s3://bucket/media", "s3://bucket/media/cat.png", True),
        ("s3://bucket/media/", "s3://bucket/media/deep/cat.png", True),
        ("s3://bucket", "s3://bucket/cat.png", True),
        ("s3://", "s3://any/cat.png", True),
        ("/data\ns3://bucket", "s3://bucket/cat.png", True),
        ("s3://lake@bucket", "s3://lake@bucket/cat.png", True),
        ("/data", "s3://bucket/cat.png", False),
        ("s3://bucket/media", "s3://bucket/media-private/cat.png", False),
        ("s3://bucket/media", "s3://bucket/media/../private/cat.png", False),
        ("s3://bucket", "s3://bucket-2/cat.png", False),
        ("s3://bucket", "s3://lake@bucket/cat.png", False),
        ("s3://lake@bucket", "s3://bucket/cat.png", False),
        ("gs://bucket", "s3://bucket/cat.png", False),
        ("/", "s3://bucket/cat.png", False),
    ],
)
def test_addresses_of_an_object_storage_are_compared_as_they_are_written(
    listed: str, value: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = store.ObjectStore("s3", None, fs=fsspec.filesystem("memory"))
    for name in ("s3", "s3-lake"):
        monkeypatch.setitem(store._STORE_CACHE, name, memory)  # noqa: SLF001
    monkeypatch.setenv(SETTING, listed)
    path = ObjectStoragePath(value)
    if allowed:
        check_place(path, value, "first_frame")
    else:
        with pytest.raises(SeedanceRequestError, match="outside the folders"):
            check_place(path, value, "first_frame")


def test_results_of_the_service_itself_need_no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "/data")
    value = "seedance://seedance_default@asyntask_1/last_frame.png"
    check_place(ObjectStoragePath(value), value, "first_frame")
