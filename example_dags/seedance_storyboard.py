"""
A storyboard becomes one film, longer than the service makes in one piece.

Each shot begins with the last frame of the shot before it. The frame is given by `last_frame_path`, which outlives the
service's links: a shot in the middle can be retried, or cleared days later, without paying for the others again. At the
end, the shots are joined without re-encoding. Needs `airflow-provider-seedance[media]`.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from airflow.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator

SHOTS = (
    "Dawn over a harbour, fishing boats rock at the quay, the camera glides towards one of them",
    "An old fisherman casts off and the boat leaves the harbour, seen from the quay",
    "The boat gets small on a wide golden sea, gulls follow it, the camera rises",
)
SECONDS = 6


def track_format(stream: Any) -> tuple[Any, ...]:
    """Return what must be the same in all shots for their packets to fit into one track."""
    codec = stream.codec_context
    if stream.type == "video":
        return codec.name, codec.width, codec.height, codec.pix_fmt, codec.extradata
    return codec.name, codec.sample_rate, codec.layout.name, codec.extradata


def concatenate(videos: list[str], film: Path) -> float:
    """
    Copy the packets of several mp4s into one.

    Pictures keep their times within a shot. Audio packets, about 20 ms each, do not end when the pictures do: they are
    laid end to end, and each shot's are cut when the next shot's begin.

    :returns: The film's length in seconds.
    :raises ValueError: if the videos differ in size, codec or the like.
    """
    import av

    tracks: dict[str, Any] = {}
    formats: dict[str, tuple[Any, ...]] = {}
    start, heard = Fraction(0), Fraction(-1)  # in seconds: start of the shot, end of the sound so far
    with av.open(str(film), "w", format="mp4") as output:
        for video in videos:
            with ObjectStoragePath(video).open("rb") as file, av.open(file, format="mp4") as shot:
                streams = {stream.type: stream for stream in (shot.streams.video[0], *shot.streams.audio[:1])}
                if not tracks:
                    tracks = {kind: output.add_stream_from_template(stream) for kind, stream in streams.items()}
                    formats = {kind: track_format(stream) for kind, stream in streams.items()}
                if formats != {kind: track_format(stream) for kind, stream in streams.items()}:
                    raise ValueError(f"{video} differs from {videos[0]} in size, codec or sound: re-encode them.")
                pictures = streams["video"]
                begins = pictures.start_time * pictures.time_base
                end = start + pictures.duration * pictures.time_base
                lead: Fraction | None = None
                for packet in shot.demux(*streams.values()):
                    if packet.dts is None:  # only marks the end of the stream
                        continue
                    at = start + packet.pts * packet.time_base - begins
                    if packet.stream.type == "audio":
                        if lead is None:
                            # sound starts a packet early, which a player decodes but does not play
                            lead = at - start
                            heard = max(heard, at)
                        if heard >= end + lead and video != videos[-1]:
                            continue
                        at, heard = heard, heard + packet.duration * packet.time_base
                    shift = round(at / packet.time_base) - packet.pts
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = tracks[packet.stream.type]
                    output.mux(packet)
            start = end
    return float(start)


with DAG(
    dag_id="seedance_storyboard",
    schedule=None,
    catchup=False,
    tags=["seedance", "example"],
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "target": Param(
            "file:///tmp/seedance", type="string", description="Folder to save to, such as s3://bucket/films"
        ),
    },
):
    shots: list[SeedanceGenerateVideoOperator] = []
    for number, prompt in enumerate(SHOTS, start=1):
        shots.append(
            SeedanceGenerateVideoOperator(
                task_id=f"shot_{number}",
                prompt=prompt,
                first_frame=shots[-1].output["last_frame_path"] if shots else None,
                return_last_frame=True,
                # the same for all; "adaptive" would follow the frames
                ratio="16:9",
                resolution="480p",
                duration=SECONDS,
            )
        )

    @task
    def join(videos: list[str], film: str) -> dict[str, Any]:
        """Join the shots in a local file, because an mp4's head is written last, and copy it to its target."""
        with TemporaryDirectory() as folder:
            local = Path(folder) / "film.mp4"
            seconds = concatenate(videos, local)
            target = ObjectStoragePath(film)
            if target.protocol == "file":  # object stores have no folders
                target.parent.mkdir(parents=True, exist_ok=True)
            ObjectStoragePath(f"file://{local}").copy(target)
            return {"path": film, "seconds": seconds, "size": local.stat().st_size}

    join([shot.output["video_path"] for shot in shots], "{{ params.target }}/{{ run_id }}.mp4")
