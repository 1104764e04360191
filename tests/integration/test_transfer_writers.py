"""Transfers of several tasks, tries and programs to one folder, and names that must not collide."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, task_group
from airflow.sdk.definitions.mappedoperator import MappedOperator

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import SeedanceRequestError, SeedanceServiceError
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator
from tests.integration.dags import load
from tests.integration.test_transfer import make_generation, save
from tests.integration.test_transfer_files import files_in
from tests.result_service import GENERATION_ID, MIB, ResultService, mp4

HOUR = 3600


@contextmanager
def slow_writer(service: ResultService, path: Path, **arguments: Any) -> Iterator[Future[Any]]:
    """Start a transfer that is in the middle of its file when the block begins, and goes on when it ends."""
    service.pause_at = MIB
    before = set(path.parent.iterdir())
    with ThreadPoolExecutor(1) as executor:
        saved = executor.submit(save, GENERATION_ID, str(path), **{"run_id": "slow", **arguments})
        deadline = time.monotonic() + 60
        while set(path.parent.iterdir()) == before and not saved.done() and time.monotonic() < deadline:
            time.sleep(0.02)
        service.pause_at = None
        yield saved
        service.resume.set()
        saved.exception(60)


# -- leftovers


def test_file_that_another_task_is_writing_is_left_alone(service: ResultService, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with slow_writer(service, path) as slow:
        save(GENERATION_ID, str(path), run_id="fast")
        assert len(files_in(tmp_path)) == 2
    assert slow.result()["size"] == len(service.data)
    assert files_in(tmp_path) == ["video.mp4"]


def test_file_of_the_same_run_elsewhere_is_left_alone(service: ResultService, tmp_path: Path) -> None:
    """Two Airflows may have the same Dag and run, but they save different generations."""
    with slow_writer(service, tmp_path / "video.mp4", run_id="same") as slow:
        save("asyntask_other", f"{tmp_path}/other.mp4", run_id="same")
    assert slow.result()["size"] == len(service.data)


def leftover(folder: Path, age: float, name: str = ".seedance-0123456789abcdef-01234567.part") -> Path:
    path = folder / name
    path.write_bytes(b"half of a video")
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize(("age", "stays"), [(HOUR - 60, True), (HOUR + 60, False)])
def test_what_nobody_has_written_to_for_an_hour_is_removed(
    generation_id: str, tmp_path: Path, age: float, stays: bool
) -> None:
    folder = tmp_path / "take [1]"
    folder.mkdir()
    left = leftover(folder, age)
    save(generation_id, f"{folder}/video.mp4")
    assert left.exists() is stays


def test_files_of_others_are_left_alone_however_old(generation_id: str, tmp_path: Path) -> None:
    names = ["a.part", ".video.mp4.part", ".seedance-x", "seedance-0-1.part"]
    for name in names:
        leftover(tmp_path, 9 * HOUR, name)
    save(generation_id, f"{tmp_path}/video.mp4")
    assert files_in(tmp_path) == sorted([*names, "video.mp4"])


def test_file_that_somebody_removed_while_it_was_written_is_worth_a_retry(
    service: ResultService, tmp_path: Path
) -> None:
    path = tmp_path / "video.mp4"
    with slow_writer(service, path) as slow:
        for part in tmp_path.iterdir():
            part.unlink()
    with pytest.raises(SeedanceServiceError, match="removed by somebody else"):
        slow.result()
    assert files_in(tmp_path) == []


# -- exclusive


def no_hard_links(*args: object) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("hard_links", [True, False])
def test_one_of_two_writers_wins_if_none_may_replace(
    service: ResultService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:
        monkeypatch.setattr(os, "link", no_hard_links)
    path = tmp_path / "video.mp4"
    with slow_writer(service, path, if_exists="fail") as slow:
        service.data = mp4(2 * MIB)
        save(GENERATION_ID, str(path), if_exists="fail", run_id="fast")
    with pytest.raises(SeedanceRequestError, match="exists, and 'if_exists' is 'fail'"):
        slow.result()
    assert path.read_bytes() == service.data
    assert files_in(tmp_path) == ["video.mp4"]


def test_signature_in_a_path_is_not_logged(
    generation_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "link", no_hard_links)
    with caplog.at_level(logging.DEBUG, "airflow_provider_seedance"):
        save(generation_id, f"{tmp_path}/video.mp4?X-Amz-Signature=0123456789abcdef", if_exists="fail")
    assert "No hard links on the file system of" in caplog.text
    assert "0123456789abcdef" not in caplog.text


def test_disk_decides_between_writers_that_saw_nothing(
    service: ResultService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_seedance.files.storage._check_free", lambda target: None)
    path = tmp_path / "video.mp4"
    with slow_writer(service, path, if_exists="fail") as slow:
        path.write_bytes(b"faster")
    with pytest.raises(SeedanceRequestError, match="exists"):
        slow.result()
    assert (path.read_bytes(), files_in(tmp_path)) == (b"faster", ["video.mp4"])


# -- names


@pytest.mark.parametrize("name", ["n" * 251 + ".mp4", "視" * 83 + "ab.mp4"])
def test_name_may_be_as_long_as_the_disk_allows(generation_id: str, tmp_path: Path, name: str) -> None:
    assert len(name.encode()) == 255
    save(generation_id, f"{tmp_path}/{name}")
    assert files_in(tmp_path) == [name]


def test_name_that_is_too_long_is_the_authors_to_change(generation_id: str, tmp_path: Path) -> None:
    with pytest.raises(SeedanceRequestError, match="File name too long"):
        save(generation_id, f"{tmp_path}/{'n' * 252}.mp4")


@pytest.mark.parametrize(
    "model", ["../../x", "..", "a/../../x", "\\..\\x", "~", ".", "x\0y", "x?y#z", "{seed}", "m" * 300, "視" * 90]
)
def test_nothing_that_the_service_says_leaves_the_folder(service: ResultService, tmp_path: Path, model: str) -> None:
    answer = json.loads(service.generation())
    answer["data"]["data"]["model"] = answer["data"]["data"]["resolution"] = model
    service.response = json.dumps(answer).encode()
    folder = tmp_path / "a" / "b"
    save(GENERATION_ID, f"{folder}/{{model}}/{{resolution}}")
    (file,) = files_in(tmp_path)
    assert file.startswith("a/b/")
    assert file.count("/") == 3


@pytest.mark.parametrize("path", ["/videos/frame.png", "/videos/frame.PNG"])
def test_both_files_to_one_path_are_refused_when_the_dag_is_parsed(path: str) -> None:
    with pytest.raises(SeedanceRequestError, match=r"ends in \.png, which is the last frame's name") as caught:
        SeedanceToObjectStorageOperator(task_id="save", generation="x", path=path, what="both")
    assert caught.value.field == "path"
    SeedanceToObjectStorageOperator(task_id="save", generation="x", path=path, what="last_frame")


def test_both_files_to_one_rendered_path_are_refused_before_anything_is_saved(
    emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "frame.png").write_bytes(b"precious")
    made = make_generation(emulator, return_last_frame=True)
    operator = SeedanceToObjectStorageOperator(task_id="save", generation=made, path="{{ params.path }}", what="both")
    operator.path = f"{tmp_path}/frame.png"
    with pytest.raises(SeedanceRequestError, match=r"ends in \.png"):
        operator.execute({})
    assert (tmp_path / "frame.png").read_bytes() == b"precious"
    assert files_in(tmp_path) == ["frame.png"]


def test_word_of_the_service_that_ends_like_a_frame_is_no_way_around(service: ResultService, tmp_path: Path) -> None:
    answer = json.loads(service.generation())
    answer["data"]["data"]["model"] = "seedance.png"
    service.response = json.dumps(answer).encode()
    with pytest.raises(SeedanceRequestError, match=r"ends in \.png"):
        save(GENERATION_ID, f"{tmp_path}/{{model}}", what="both")
    assert files_in(tmp_path) == []


# -- mapped


def mapped_instance(index: int, arguments: dict[str, Any], mapped: dict[str, list[str]]) -> Any:
    """Return an instance of a mapped transfer, or of one in a mapped group if nothing is mapped, and its context."""
    with DAG("mapped") as dag:
        if not mapped:

            @task_group
            def group(generation: str) -> None:
                SeedanceToObjectStorageOperator(task_id="save", generation=generation, **arguments)

            group.expand(generation=["a", "b"])
        else:
            SeedanceToObjectStorageOperator.partial(task_id="save", **arguments).expand(**mapped)
    (task,) = dag.tasks
    operator: Any = task
    if isinstance(task, MappedOperator):
        operator = task.unmap({name: values[index] for name, values in mapped.items()})
    # as Airflow renders a template: each instance's own index, the same date for all
    operator.path = str(operator.path).replace("{{ ti.map_index }}", str(index)).replace("{{ ds }}", "2026-11-24")
    context = {"ti": type("TI", (), {"map_index": index, "dag_id": "mapped", "run_id": "r", "task_id": task.task_id})}
    return operator, context


@pytest.mark.parametrize("path", ["{}/video.mp4", "{}/{{{{ ds }}}}.mp4", "{}/video.{{extension}}"])
@pytest.mark.parametrize("in_group", [False, True])
def test_second_video_of_a_mapped_transfer_to_one_path_is_refused(
    emulator: Emulator, tmp_path: Path, path: str, in_group: bool
) -> None:
    made = [make_generation(emulator) for _ in range(2)]
    for index in range(2):
        mapped = {} if in_group else {"generation": made}
        operator, context = mapped_instance(index, {"path": path.format(tmp_path)}, mapped)
        operator.generation = made[index]
        if index == 0:
            operator.execute(context)
            continue
        before = [file.read_bytes() for file in tmp_path.iterdir()]
        with pytest.raises(SeedanceRequestError, match=r"same for all instances.*Put \{generation_id\}") as caught:
            operator.execute(context)
        assert caught.value.field == "path"
        assert [file.read_bytes() for file in tmp_path.iterdir()] == before


@pytest.mark.parametrize(
    ("path", "mapped"),
    [
        ("{}/", {}),
        ("{}", {}),
        ("{}/{{generation_id}}.mp4", {}),
        ("{}/{{{{ ti.map_index }}}}.mp4", {}),
        (None, {"path": ["{}/a.mp4", "{}/b.mp4"]}),
    ],
)
def test_mapped_transfer_with_a_path_for_each_video_is_fine(
    emulator: Emulator, tmp_path: Path, path: str | None, mapped: dict[str, list[str]]
) -> None:
    made = [make_generation(emulator) for _ in range(2)]
    mapped = {name: [value.format(tmp_path) for value in values] for name, values in mapped.items()}
    arguments = {} if path is None else {"path": path.format(tmp_path)}
    operator, context = mapped_instance(1, arguments, {"generation": made, **mapped})
    assert operator.execute(context)["generation_id"] == made[1]


def test_one_generation_mapped_over_storages_is_fine(emulator: Emulator, tmp_path: Path) -> None:
    arguments = {"path": f"{tmp_path}/video.mp4", "generation": make_generation(emulator)}
    operator, context = mapped_instance(1, arguments, {"if_exists": ["skip", "overwrite"]})
    assert operator.execute(context)["size"] > 0


DAG_FILE = """
from airflow.sdk import DAG, task_group

from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator as Save

with DAG("mapped", params={"folder": ""}):
    for name, path in {"one": "one.mp4", "each": "{generation_id}.mp4"}.items():
        Save.partial(task_id=name, path="{{ params.folder }}/" + path).expand(generation=GENERATIONS)

    @task_group
    def group(generation: str) -> None:
        Save(task_id="save", generation=generation, path="{{ params.folder }}/group.mp4")

    group.expand(generation=GENERATIONS)
"""


@pytest.mark.no_cover
def test_airflow_runs_only_the_first_of_a_mapped_transfer_to_one_path(
    emulator: Emulator, airflow_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(tmp_path))
    made = [make_generation(emulator) for _ in range(2)]
    (tmp_path / "mapped.py").write_text(DAG_FILE.replace("GENERATIONS", repr(made)))
    (tmp_path / "out").mkdir()
    run = load(tmp_path / "mapped.py")["mapped"].test(run_conf={"folder": f"{tmp_path}/out"})
    states = {(ti.task_id, ti.map_index): str(ti.state) for ti in run.get_task_instances()}
    assert states == {
        ("one", 0): "success",
        ("one", 1): "failed",
        ("each", 0): "success",
        ("each", 1): "success",
        ("group.save", 0): "success",
        ("group.save", 1): "failed",
    }
    assert files_in(tmp_path / "out") == sorted(["one.mp4", "group.mp4", *(f"{one}.mp4" for one in made)])
    assert (tmp_path / "out" / "one.mp4").read_bytes() == (tmp_path / "out" / f"{made[0]}.mp4").read_bytes()


# -- what is told of a file


@pytest.mark.parametrize(
    "broken",
    [
        "airflow_provider_seedance.tasks.LineageFacts",
        "airflow_provider_seedance.transfers.seedance_to_object_storage.browser_url",
        "airflow_provider_seedance.transfers.seedance_to_object_storage.describe_outlets",
    ],
)
def test_what_only_describes_a_file_cannot_fail_it(
    generation_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("not today")

    monkeypatch.setattr(broken, fail)
    assert save(generation_id, f"{tmp_path}/video.mp4")["size"] > 0
    said = capsys.readouterr().out + caplog.text
    assert f"{tmp_path}/video.mp4 is saved; its event, lineage or link is incomplete (RuntimeError: not today)" in said


@pytest.fixture
def generation_id(emulator: Emulator) -> str:
    """A finished generation."""
    return make_generation(emulator)
