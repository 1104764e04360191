"""The end of an exchange, alike for both clients: from the bytes that arrived to a response."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from airflow_provider_seedance.api.response import Response
from airflow_provider_seedance.exceptions import SeedanceTransportError
from airflow_provider_seedance.hooks.endpoint import Endpoint

#: What a request asks for. Some gateways compress all the same.
ACCEPT_ENCODING = "identity"
#: For zlib: gzip or zlib, whichever the data begins with.
_GZIP_OR_ZLIB = 47


def read_response(status: int, headers: Mapping[str, str], raw: bytes, endpoint: Endpoint, *, limit: int) -> Response:
    """
    Read a response.

    :param status: The HTTP status.
    :param headers: The headers, in a mapping that ignores case.
    :param raw: The body as it came, still compressed if it was, and at most a little longer than the limit.
    :param endpoint: The service's endpoint.
    :param limit: Bytes that it may have, inflated.
    :raises SeedanceTransportError: It is too large, compressed in a way that was not asked for, or cut off.
    """
    host = endpoint.base_url
    raw = _inflate(raw, headers.get("Content-Encoding", "").strip().lower(), limit, host)
    if len(raw) > limit:
        raise SeedanceTransportError(f"The response from {host} was too large.")
    said = {} if status == 200 else headers
    response = Response.of(status, raw, said, conn_id=endpoint.conn_id, key=endpoint.api_key)
    ends_anywhere = "Content-Length" not in headers and "Transfer-Encoding" not in headers
    if 200 <= status < 300 and ends_anywhere and isinstance(response.body, str):
        # the end of the connection is the end of such a body, and half an id looks like one
        raise SeedanceTransportError(f"{host} closed the connection early, in the middle of its response.")
    return response


def _inflate(raw: bytes, encoding: str, limit: int, host: str) -> bytes:
    """Undo the compression, no further than to the limit: a few KB of it can hold gigabytes."""
    if encoding in ("", "identity") or not raw or len(raw) > limit:
        return raw
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise SeedanceTransportError(
            f"The response from {host} is compressed as {encoding[:40]!r}, which was not requested."
        )
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(raw, limit + 1)
    except zlib.error:
        raise SeedanceTransportError(f"The response from {host} cannot be decompressed.") from None
