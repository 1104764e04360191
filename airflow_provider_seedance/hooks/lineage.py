"""
What OpenLineage is told of a task: which datasets it read and wrote, and what it asked for.

Nothing of OpenLineage is imported before its provider asks, and nothing is looked up then: it asks in a process forked
from a task that is over. No dataset and no facet holds a key, a payload or the query of a link; the prompt's text is
told only with ``[seedance] lineage_prompt``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_seedance.api.generation import Generation
from airflow_provider_seedance.api.media import media_form
from airflow_provider_seedance.api.parse import as_int, as_mapping
from airflow_provider_seedance.api.redact import without_secrets

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_seedance.api.request import GenerationRequest
    from airflow_provider_seedance.hooks.lineage_facet import SeedanceRunFacet

#: The facet's key among a run's.
FACET = "seedance"

#: Other names of a storage, and the one that OpenLineage names its datasets by.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "az": "abfss", "wasb": "wasbs"}
_LOCAL = ("file", "local")
_SHA_256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Told:
    """
    What a task keeps for its lineage once it has something to tell.

    :param generation: As the service describes it; the id alone where it was not waited for.
    :param base_url: The service's address.
    :param request: What was asked for, where this task asked.
    :param given: The result of the task that asked, where it was handed over.
    :param stored: The result of the transfer, where this task is one: ``path``, ``size`` and ``sha256``, and under
        ``last_frame`` the same of the last frame.
    """

    generation: Generation
    base_url: str
    request: GenerationRequest | None = field(default=None, repr=False)
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    stored: Mapping[str, Any] | None = field(default=None, repr=False)


def lineage_of(told: Told | None) -> OperatorLineage[Any, Any]:
    """
    Tell what a task knows of its generation.

    :param told: None where the task came to no result.
    :return: Of a task that asked or waited: the media of its request as inputs, the generation as output. Of one that
        stored files: the generation as input, the files as outputs. Nothing at all without a result.
    """
    from airflow.providers.common.compat.openlineage.facet import InputDataset, OutputDataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    if told is None:
        return OperatorLineage()  # None would be warned about
    generation = generation_dataset(told.generation.generation_id, base_url=told.base_url)
    facets = {FACET: _run_facet(told)}
    if told.stored is not None:
        files = (told.stored, as_mapping(told.stored.get("last_frame")))
        outputs = [dataset for file in files if (dataset := _stored_file(file, base_url=told.base_url)) is not None]
        return OperatorLineage(inputs=[InputDataset(*generation)], outputs=outputs, run_facets=facets)
    media = told.request.media if told.request is not None else ()
    # one file can be several references
    names = dict.fromkeys(dataset_of(item.value, base_url=told.base_url) for item in media)
    inputs = [InputDataset(*name) for name in names if name is not None]
    return OperatorLineage(inputs=inputs, outputs=[OutputDataset(*generation)], run_facets=facets)


def generation_dataset(generation_id: str | None, *, base_url: str) -> tuple[str, str]:
    """Return namespace and name of a generation."""
    return _service(base_url), f"generation/{generation_id}"


def dataset_of(media: str, *, base_url: str) -> tuple[str, str] | None:
    """
    Return namespace and name of a media value or a stored file, as OpenLineage's naming rules have them.

    :param media: A link, ``asset://<id>``, a path that ``ObjectStoragePath`` opens, or a ``data:`` URI.
    :param base_url: The service's address, for what lies there.
    :return: None for a ``data:`` URI, which lies nowhere, and for what cannot be named.
    """
    form = media_form(media)
    if form == "data":
        return None
    scheme, mark, rest = media.partition("://")
    scheme = scheme.lower()
    if form == "url":
        return _link_dataset(media)
    if form == "asset":
        return _service(base_url), f"asset/{rest}"
    if not mark or scheme in _LOCAL:
        return "file", os.path.abspath(rest if mark else media)  # noqa: PTH100
    authority, _, key = rest.partition("/")
    if scheme == "seedance":
        return generation_dataset(authority.rpartition("@")[2], base_url=base_url)
    return _storage_namespace(_SCHEMES.get(scheme, scheme), authority), key.partition("?")[0].lstrip("/") or "/"


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
    """Leave out connection or user, which stand before the bucket."""
    user, _, host = authority.rpartition("@")
    if scheme in ("abfss", "wasbs") and ".core." in host:  # container@account: both say which file it is
        host = f"{user.rpartition('@')[2]}@{host}"
    return f"{scheme}://{host}"


def _stored_file(file: Mapping[str, Any], *, base_url: str) -> OutputDataset | None:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet
    from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet

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


def _run_facet(told: Told) -> SeedanceRunFacet:
    from airflow_provider_seedance.hooks.lineage_facet import SeedanceRunFacet

    members: dict[str, Any] = {
        name: without_secrets(value) if isinstance(value, str) else value
        for name, value in {**_asked(told), **_said(told.generation)}.items()
    }
    return SeedanceRunFacet(**members)


def _asked(told: Told) -> dict[str, Any]:
    request = told.request
    if request is None:
        return {
            "expected_tokens": as_int(told.given.get("expected_tokens")),
            "prompt_fingerprint": _sha_256(told.given.get("prompt_fingerprint")),
        }
    names = ("model", "resolution", "ratio", "duration", "seed", "generate_audio", "watermark", "web_search")
    return {
        **{name: getattr(request, name) for name in names},
        "expected_tokens": request.expected_tokens(),
        "prompt_fingerprint": request.prompt_fingerprint,
        "prompt": next(iter(request.texts), None) if _may_tell_prompt() else None,
    }


def _said(generation: Generation) -> dict[str, Any]:
    """What the service said was really used; what it did not say stays as it was asked for."""
    names = ("generation_id", "request_id", "model", "resolution", "ratio", "duration", "seed", "total_tokens")
    said = {name: getattr(generation, name) for name in names}
    return {name: value for name, value in said.items() if value is not None}


def _may_tell_prompt() -> bool:
    from airflow.providers.common.compat.sdk import conf

    return bool(conf.getboolean("seedance", "lineage_prompt", fallback=False))
