"""A Dag for the secrets test: everything that a run can leave behind, with secrets from params and XCom only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Param, task

from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from airflow_provider_seedance.sensors.generation import SeedanceGenerationSensor
from airflow_provider_seedance.transfers.seedance_to_object_storage import SeedanceToObjectStorageOperator

#: The connection whose service works, and the kinds of those that do not.
GOOD = "secrets-good"
ODD = ("moderated_input", "moderated_output", "failing", "refusing", "unauthorized", "losing", "stuck")

COMMON: dict[str, Any] = {"resolution": "480p", "duration": 4, "poll_interval": 1}
PROMPT, PICTURE, LINK = "{{ params.prompt }}", "{{ params.picture }}", "{{ params.link }}"


def generate(task_id: str, **arguments: Any) -> SeedanceGenerateVideoOperator:
    return SeedanceGenerateVideoOperator(
        task_id=task_id, **{"prompt": PROMPT, "seedance_conn_id": GOOD, **COMMON, **arguments}
    )


def save(
    task_id: str, generation: Any, path: str = "{{ params.folder }}/", **arguments: Any
) -> SeedanceToObjectStorageOperator:
    return SeedanceToObjectStorageOperator(
        task_id=task_id, generation=generation, path=path, seedance_conn_id=GOOD, **arguments
    )


with DAG(
    "seedance_secrets",
    schedule=None,
    max_active_tasks=100,
    params={name: Param("", type="string") for name in ("prompt", "picture", "link", "folder")},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
):
    frames = generate("frames", first_frame=PICTURE, return_last_frame=True, outlets=[Asset("secrets-generated")])
    save("save_frames", frames.output, what="both", outlets=[Asset("secrets-stored")])

    references = generate("references", reference_images=[LINK, PICTURE], deferrable=False)
    save("save_references", references.output["generation_id"])

    generate(
        "raw",
        prompt=None,
        content=[
            {"type": "text", "text": PROMPT},
            {"type": "image_url", "role": "reference_image", "image_url": {"url": LINK}},
            {"type": "image_url", "role": "reference_image", "image_url": {"url": PICTURE}},
        ],
        extra_body={"callback_url": LINK},
    )

    submitted = generate("submitted", wait_for_completion=False, return_last_frame=True)
    watched = SeedanceGenerationSensor(
        task_id="watched", generation=submitted.output, poke_interval=1, seedance_conn_id=GOOD
    )
    save("save_watched", watched.output)

    @task(show_return_value_in_logs=False)
    def requests(**context: Any) -> list[dict[str, Any]]:
        """Return media by XCom, one request per mapped task."""
        params = context["params"]
        return [
            {"prompt": params["prompt"], "first_frame": params["picture"]},
            {"prompt": params["prompt"], "reference_images": [params["link"]]},
        ]

    mapped = SeedanceGenerateVideoOperator.partial(task_id="mapped", seedance_conn_id=GOOD, **COMMON)
    mapped_output = mapped.expand_kwargs(requests()).output
    mapped_save = SeedanceToObjectStorageOperator.partial(
        task_id="save_mapped", path="{{ params.folder }}/", seedance_conn_id=GOOD
    )
    mapped_save.expand(generation=mapped_output)

    # tasks that fail, and report why
    for kind in ODD:
        generate(kind, seedance_conn_id=f"secrets-{kind}", first_frame=PICTURE, last_frame=LINK)
    generate("bad_link", first_frame=f"{LINK} {PICTURE}")
    generate("bad_payload", first_frame=f"{PICTURE}!")
    generate("bad_number", duration=LINK, seed=PICTURE)
    save("save_what_is_no_generation", LINK)
    save("save_by_link", "{{ ti.xcom_pull(task_ids='frames', key='video_url') }}").set_upstream(frames)
    save("save_where_nothing_can_be", frames.output, path=LINK)
