"""The examples that do something with a finished video, on every supported Airflow."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import runpy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import airflow
import av
import pytest
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dagrun import DagRun
from airflow.sdk import ObjectStoragePath
from airflow.utils.session import create_session
from packaging.version import Version
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.emulator.clips import ClipSpec, render
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from tests.integration.dags import example, path_of, run
from tests.s3 import BUCKET, objects

_VERSION = Version(airflow.__version__).release
pytestmark = [pytest.mark.no_cover, pytest.mark.usefixtures("airflow_db", "quick_clock")]


def generation_ids(emulator: Emulator) -> list[str]:
    return [generation["id"] for generation in emulator.generations()]


def content(generation_id: str, name: str = "video.mp4") -> bytes:
    return ObjectStoragePath(f"seedance://seedance_default@{generation_id}/{name}").read_bytes()


def check_film(file: str | BinaryIO, seconds: float) -> None:
    """Check that a film plays from end to end: every frame, in order, with sound up to its end."""
    played: dict[str, float] = {}
    with av.open(file, "r") as film:
        packets: dict[str, list[int]] = {"video": [], "audio": []}
        for packet in film.demux():
            if packet.dts is not None:
                packets[packet.stream.type].append(packet.dts)
        for times in packets.values():
            assert all(before < after for before, after in itertools.pairwise(times))
        film.seek(0)
        pictures = [frame.time for frame in film.decode(video=0)]
        assert pictures == pytest.approx([number / 24 for number in range(round(24 * seconds))], abs=0.001)
        played["video"] = len(pictures) / 24
        film.seek(0)
        sound: list[Any] = list(film.decode(audio=0))
        assert all(abs(b.time - a.time - a.samples / a.rate) < 0.002 for a, b in itertools.pairwise(sound))
        played["audio"] = sum(frame.samples / frame.rate for frame in sound)
        assert film.duration is not None
        assert film.duration / 1e6 == pytest.approx(seconds, abs=0.2)
    assert played == pytest.approx({"video": seconds, "audio": seconds}, abs=0.2)


def test_storyboard_becomes_one_film(seedance_emulator: Emulator, tmp_path: Path) -> None:
    run(example("storyboard"), {"target": f"file://{tmp_path}/films"})
    (film,) = (tmp_path / "films").iterdir()
    assert film.suffix == ".mp4"
    check_film(str(film), seconds=18)
    stats = seedance_emulator.stats()
    assert (stats["posts"], stats["created"]) == (3, 3)
    requests = [generation["request"] for generation in seedance_emulator.generations()]
    for before, request in zip(generation_ids(seedance_emulator), requests[1:], strict=False):
        (frame,) = (item for item in request["content"] if item.get("role") == "first_frame")
        head, _, payload = frame["image_url"]["url"].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(payload) == content(before, "last_frame.png")


@pytest.mark.skipif(_VERSION < (3, 1), reason="there, dag.test() resumes a failed task instead of retrying it")
def test_storyboard_pays_no_shot_again_for_another_that_is_retried(
    seedance_emulator: Emulator, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second shot fails and is generated again after its first frame's link expired; the third fails once paid."""
    seedance_emulator.fault(route="generation", fail={"code": "InternalServiceError", "message": "x"}, skip=1)
    complete: Callable[..., Any] = SeedanceGenerateVideoOperator.execute_complete
    tries: list[str] = []

    def unlucky(self: SeedanceGenerateVideoOperator, context: Any, event: Any = None) -> Any:
        tries.append(self.task_id)
        seedance_emulator.expire_links()
        if tries.count("shot_3") == 1 and self.task_id == "shot_3":
            raise OSError("The service cannot be asked.")
        return complete(self, context, event)

    monkeypatch.setattr(SeedanceGenerateVideoOperator, "execute_complete", unlucky)
    dag_run = run(example("storyboard"), {"target": f"s3://aws_default@{BUCKET}/films"}, retries=1)
    ((key, film),) = objects(s3).items()
    assert key == f"films/{dag_run.run_id}.mp4"
    check_film(io.BytesIO(film), seconds=18)
    stats = seedance_emulator.stats()
    assert stats["refunded"] == 1
    # a submission is remembered since Airflow 3.3
    assert stats["billed"] == (3 if _VERSION >= (3, 3) else 4)


@pytest.mark.parametrize("other", [{"width": 320}, {"sound": False}])
def test_storyboard_refuses_shots_that_do_not_fit_together(tmp_path: Path, other: dict[str, Any]) -> None:
    spec = ClipSpec(width=640, height=360, seconds=1, sound=True, prompt="x", mode="text")
    (tmp_path / "1.mp4").write_bytes(render(spec))
    (tmp_path / "2.mp4").write_bytes(render(replace(spec, **other)))
    concatenate = runpy.run_path(str(path_of("storyboard")))["concatenate"]
    with pytest.raises(ValueError, match=r"2\.mp4 differs from .*1\.mp4 in size, codec or sound"):
        concatenate([f"file://{tmp_path}/{number}.mp4" for number in (1, 2)], tmp_path / "film.mp4")


def test_file_transfer_copies_the_video(seedance_emulator: Emulator, tmp_path: Path) -> None:
    dag_run = run(example("file_transfer"), {"target": f"file://{tmp_path}/new/folder"})
    (generation_id,) = generation_ids(seedance_emulator)
    assert (tmp_path / "new/folder" / f"{dag_run.run_id}.mp4").read_bytes() == content(generation_id)


def test_taskflow_reads_the_video(seedance_emulator: Emulator, tmp_path: Path) -> None:
    run(example("taskflow"), {"target": f"file://{tmp_path}/catalogue"})
    (generation_id,) = generation_ids(seedance_emulator)
    entry = json.loads((tmp_path / "catalogue" / f"{generation_id}.json").read_text())
    video = content(generation_id)
    assert (entry["sha256"], entry["size"]) == (hashlib.sha256(video).hexdigest(), len(video))


def test_video_and_last_frame_go_to_s3(seedance_emulator: Emulator, s3: Any) -> None:
    run(example("to_s3"), {"bucket": BUCKET})
    (generation_id,) = generation_ids(seedance_emulator)
    assert objects(s3) == {
        f"videos/doubao-seedance-2-0-260128/{generation_id}.{extension}": content(generation_id, name)
        for extension, name in (("mp4", "video.mp4"), ("png", "last_frame.png"))
    }


def test_http_to_s3_takes_the_signed_link(
    seedance_emulator: Emulator, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEEDANCE_LINKS", '{"conn_type": "http", "schema": "http"}')
    run(example("http_to_s3"), {"bucket": BUCKET})
    (generation_id,) = generation_ids(seedance_emulator)
    assert objects(s3) == {f"videos/{generation_id}.mp4": content(generation_id)}


def asset_events(session: Session) -> list[AssetEvent]:
    """Return the events of the video of the day, the oldest first."""
    same = AssetModel.id == AssetEvent.asset_id
    query = select(AssetEvent).join(AssetModel, same).where(AssetModel.name == "seedance_video_of_the_day")
    return list(session.scalars(query.order_by(AssetEvent.id)))


@pytest.fixture
def started_by_latest_event() -> Iterator[None]:
    """Let each new run of the consumer be one that the asset's latest event started, as the scheduler makes them."""

    def consume(session: Session, *args: Any) -> None:
        for made in session.new:
            if isinstance(made, DagRun) and made.dag_id == "seedance_asset_consumer":
                with session.no_autoflush:
                    made.consumed_asset_events.append(asset_events(session)[-1])

    event.listen(Session, "before_flush", consume)
    yield
    event.remove(Session, "before_flush", consume)


def test_consumer_takes_the_video_that_its_asset_tells(
    seedance_emulator: Emulator, tmp_path: Path, started_by_latest_event: None
) -> None:
    producer = example("asset_producer_consumer", "asset_producer")
    if _VERSION < (3, 1):  # there, dag.test() does not make a Dag's Airflow Assets known
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.serialization import serialized_objects

        serialized_dag: Any = serialized_objects.SerializedDAG
        DagBundlesManager().sync_bundles_to_db()
        known = serialized_dag.deserialize_dag(serialized_dag.serialize_dag(producer))
        known.bulk_write_to_db("dags-folder", None, [known])
    run(producer, {"target": f"file://{tmp_path}"})
    (generation_id,) = generation_ids(seedance_emulator)
    video = content(generation_id)
    with create_session() as session:
        extra = asset_events(session)[-1].extra
    (saved,) = tmp_path.rglob(f"{generation_id}.mp4")
    assert extra.pop("prompt_fingerprint") == hashlib.sha256(b"The sun rises over a sleeping town").hexdigest()
    assert extra == {
        "path": f"file://{saved}",
        "size": len(video),
        "sha256": hashlib.sha256(video).hexdigest(),
        "content_type": "video/mp4",
        "generation_id": generation_id,
        "model": "doubao-seedance-2-0-260128",
        "resolution": "480p",
        "duration": 4,
        "total_tokens": seedance_emulator.generations()[0]["total_tokens"],
    }
    consumer = run(example("asset_producer_consumer", "asset_consumer"), {})
    published = consumer.get_task_instance("publish", map_index=0).xcom_pull("publish", map_indexes=0)
    assert published == f"{extra['path']}: 4 s, SHA-256 {extra['sha256']}"


def test_consumer_started_by_hand_takes_nothing() -> None:
    run(example("asset_producer_consumer", "asset_consumer"), {})
