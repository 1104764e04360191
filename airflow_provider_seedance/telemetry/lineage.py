"""
A task's lineage for OpenLineage: the datasets it read and wrote, and the run facet.

Import this only when OpenLineage's provider asks, because it imports OpenLineage. That happens in a process forked from
the finished task, so nothing is looked up here. No dataset and no facet contains a key, a payload or a link's query;
the prompt's text is included only with ``[seedance] lineage_prompt``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
from airflow.providers.common.compat.openlineage.facet import (
    InputDataset,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
)
from airflow.providers.common.compat.sdk import conf
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.generated.base import RunFacet
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet

from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.media import media_form
from airflow_provider_seedance.api.parse import as_int, as_mapping
from airflow_provider_seedance.api.redact import without_secrets
from airflow_provider_seedance.telemetry.lineage_facts import LineageFacts

#: The facet's key among a run's facets.
FACET = "seedance"

#: Aliases of a storage's scheme, and the scheme that OpenLineage's naming rules use.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "az": "abfss", "wasb": "wasbs"}
_LOCAL = ("file", "local")
_SHA_256 = re.compile(r"[0-9a-f]{64}")
_REQUEST_MEMBERS = ("model", "resolution", "ratio", "duration", "seed", "generate_audio", "watermark", "web_search")
_GENERATION_MEMBERS = (
    "generation_id",
    "request_id",
    "model",
    "resolution",
    "ratio",
    "duration",
    "seed",
    "total_tokens",
)


@attrs.define(kw_only=True)
class SeedanceRunFacet(RunFacet):
    """
    What was requested, and what it cost. Unknown members are left out of the event.

    Its schema is that of every run facet, which allows additional members.
    """

    generation_id: str | None = None
    request_id: str | None = None
    model: str | None = None
    resolution: str | None = None
    ratio: str | None = None
    #: Seconds.
    duration: float | None = None
    seed: int | None = None
    generate_audio: bool | None = None
    watermark: bool | None = None
    web_search: bool | None = None
    total_tokens: int | None = None
    expected_tokens: int | None = None
    #: SHA-256 of the prompt's UTF-8 text, in hexadecimal.
    prompt_fingerprint: str | None = None
    #: Only with ``[seedance] lineage_prompt``.
    prompt: str | None = None


def operator_lineage(facts: LineageFacts | None) -> OperatorLineage[Any, Any]:
    """
    Return the lineage of a task.

    :param facts: What the task kept; None if it has no result.
    :returns: For a task that submitted or waited: the request's media as inputs, the generation as output. For a
        transfer: the generation as input, the stored files as outputs. Empty without a result.
    """
    if facts is None:
        return OperatorLineage()  # OpenLineage's provider warns about None
    generation = generation_dataset(facts.generation.generation_id, base_url=facts.base_url)
    run_facets = {FACET: _run_facet(facts)}
    if facts.transfer_result is not None:
        files = (facts.transfer_result, as_mapping(facts.transfer_result.get("last_frame")))
        outputs = [dataset for file in files if (dataset := _stored_file(file, base_url=facts.base_url)) is not None]
        return OperatorLineage(inputs=[InputDataset(*generation)], outputs=outputs, run_facets=run_facets)
    media = facts.request.media if facts.request is not None else ()
    # the same file may be used as several references
    names = dict.fromkeys(dataset_of(item.value, base_url=facts.base_url) for item in media)
    inputs = [InputDataset(*name) for name in names if name is not None]
    return OperatorLineage(inputs=inputs, outputs=[OutputDataset(*generation)], run_facets=run_facets)


def generation_dataset(generation_id: str | None, *, base_url: str) -> tuple[str, str]:
    """Return a generation's namespace and name."""
    return _service(base_url), f"generation/{generation_id}"


def dataset_of(media: str, *, base_url: str) -> tuple[str, str] | None:
    """
    Return the namespace and name of a media value or a stored file, by OpenLineage's naming rules.

    :param media: A link, ``asset://<id>``, a path that ``ObjectStoragePath`` opens, or a ``data:`` URI.
    :param base_url: The service's address, for assets and generations.
    :returns: None for a ``data:`` URI, which is stored nowhere, and for a link that cannot be parsed.
    """
    form = media_form(media)
    if form == "data":
        return None
    scheme, separator, rest = media.partition("://")
    scheme = scheme.lower()
    if form == "url":
        return _link_dataset(media)
    if form == "asset":
        return _service(base_url), f"asset/{rest}"
    if not separator:
        return "file", os.path.abspath(without_secrets(media))  # noqa: PTH100
    rest = re.split("[?#]", rest, maxsplit=1)[0]  # a signature
    if scheme in _LOCAL:
        return "file", os.path.abspath(rest)  # noqa: PTH100
    authority, _, key = rest.partition("/")
    if scheme == "seedance":
        return generation_dataset(authority.rpartition("@")[2], base_url=base_url)
    return _storage_namespace(_SCHEMES.get(scheme, scheme), authority), key.lstrip("/") or "/"


def _service(base_url: str) -> str:
    return f"seedance://{urlsplit(base_url).netloc}"


def _link_dataset(link: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(link)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    return f"{parts.scheme}://{authority}", without_secrets(parts.path) or "/"


def _storage_namespace(scheme: str, authority: str) -> str:
    """Return the namespace without the connection id or user in front of the bucket."""
    user, _, host = authority.rpartition("@")
    if scheme in ("abfss", "wasbs") and ".core." in host:  # container@account: both identify the file
        host = f"{user.rpartition('@')[2]}@{host}"
    return f"{scheme}://{host}"


def _stored_file(file: Mapping[str, Any], *, base_url: str) -> OutputDataset | None:
    name = dataset_of(str(file["path"]), base_url=base_url) if file.get("path") else None
    if name is None:
        return None
    size, sha256 = as_int(file.get("size")), _sha_256(file.get("sha256"))
    return OutputDataset(
        *name,
        facets={"version": DatasetVersionDatasetFacet(f"sha256:{sha256}")} if sha256 else {},
        outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(size=size)} if size is not None else {},
    )


def _sha_256(value: object) -> str | None:
    return value if isinstance(value, str) and _SHA_256.fullmatch(value) else None


def _run_facet(facts: LineageFacts) -> SeedanceRunFacet:
    members = {**_request_members(facts), **_generation_members(facts.generation)}
    for name, value in members.items():
        if isinstance(value, str):
            members[name] = without_secrets(value)
    return SeedanceRunFacet(**members)


def _request_members(facts: LineageFacts) -> dict[str, Any]:
    """Return what was requested, or what the upstream task's result says of it."""
    request = facts.request
    if request is None:
        return {
            "expected_tokens": as_int(facts.upstream_result.get("expected_tokens")),
            "prompt_fingerprint": _sha_256(facts.upstream_result.get("prompt_fingerprint")),
        }
    return {
        **{name: getattr(request, name) for name in _REQUEST_MEMBERS},
        "expected_tokens": request.expected_tokens(),
        "prompt_fingerprint": request.prompt_fingerprint,
        "prompt": next(iter(request.texts), None) if _prompt_is_allowed() else None,
    }


def _generation_members(generation: Generation) -> dict[str, Any]:
    """Return what the service reports as used: it overrides what was requested."""
    members = {name: getattr(generation, name) for name in _GENERATION_MEMBERS}
    return {name: value for name, value in members.items() if value is not None}


def _prompt_is_allowed() -> bool:
    return bool(conf.getboolean("seedance", "lineage_prompt", fallback=False))
