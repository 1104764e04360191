"""The run facet ``seedance``. Like :mod:`.lineage`, it is imported only when OpenLineage's provider asks."""

from __future__ import annotations

import attrs
from openlineage.client.generated.base import RunFacet


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
