"""Where media may be read from: any storage that is installed, and the setting that narrows it down."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator

from airflow.providers.common.compat.sdk import ObjectStoragePath, conf
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_seedance.api.media import is_local_path, media_form
from airflow_provider_seedance.api.values import path_text, refuse

#: The setting in the section ``seedance`` of Airflow's configuration.
SETTING = "allowed_media_roots"
_TAG = re.compile(r"(\{%.*?%\})", re.DOTALL)
_END_TAG = re.compile(r"\{%[-+]?\s*end")
_ABSOLUTE = re.compile(r"(?i)/|(file|local):///")


def check_place(path: ObjectStoragePath, value: str, item: str) -> None:
    """
    Refuse a file outside the folders that ``[seedance] allowed_media_roots`` lists, if it lists any.

    Symbolic links and ``..`` count as what they lead to. Files of ``seedance://`` are the service's own.

    :param path: The file.
    :param value: What was given, for the message.
    :param item: The parameter, for messages.
    """
    roots = _listed_roots()
    if not roots or path.protocol == "seedance":
        return
    if isinstance(path.fs, LocalFileSystem):
        place = _local(path.path)
    else:
        conn_id = getattr(path, "conn_id", None) or path.storage_options.get("conn_id")  # the latter on Airflow 3.0
        place = _remote(path.protocol, f"{conn_id}@{path.path}" if conn_id else path.path)
    if not _is_within(place, roots):
        remedy = f"Have whoever runs Airflow add its folder to [seedance] {SETTING}"
        refuse(item, f"is {value!r}, which is outside the folders that media may be read from", remedy)


def check_origin(value: object, texts_of_dag: Collection[str] | None, item: str) -> None:
    """
    Refuse a local file outside what the Dag's code names, unless ``[seedance] allowed_media_roots`` lists folders.

    Such a path came from a template or another task, so whoever triggers the Dag may have chosen it, and could have any
    picture that the worker can read sent to the vendor. ``/data/{{ ds }}.png`` names the folder ``/data``.

    :param value: The media value.
    :param texts_of_dag: What the Dag's own code gives; None if everything is.
    :param item: The parameter, for messages.
    """
    text = path_text(value)
    if texts_of_dag is None or not isinstance(text, str) or text.strip() in texts_of_dag:
        return
    text = text.strip()
    if media_form(text) != "path" or not is_local_path(text) or "\0" in text or _listed_roots():
        return
    if not _is_within(_root(text), [_root(named) for given in texts_of_dag for named in _named_by(given)]):
        refuse(
            item,
            f"is {text!r}, a file of the worker that the Dag's code does not name: it came from a template or another "
            "task, and might be any file",
            f"Have whoever runs Airflow list its folder in [seedance] {SETTING}, or use an object storage",
        )


def _named_by(text: str) -> Iterator[str]:
    """
    Yield the local folders and files that a text of a Dag names, templates left out.

    An absolute path at the beginning of a branch counts as one at the beginning of the text. What follows the end of a
    block goes on with what the block gave.
    """
    pieces = _TAG.split(text)  # a literal, a tag, a literal, and so on
    for at in range(0, len(pieces), 2):
        literal, expression, _ = pieces[at].strip().partition("{{")
        if at and (_END_TAG.match(pieces[at - 1]) or not _ABSOLUTE.match(literal)):
            continue
        whole = [] if expression else [literal]
        folder = [literal.rpartition("/")[0]] if expression or len(pieces) > 1 else []
        yield from (named for named in whole + folder if is_local_path(named) and named.rpartition("://")[2].strip("/"))


def _is_within(place: str, roots: Collection[str]) -> bool:
    return any(place == root or place.startswith(f"{root.rstrip('/')}/") for root in roots)


def _listed_roots() -> tuple[str, ...]:
    setting = conf.get("seedance", SETTING, fallback="") or ""
    return tuple(_root(part.strip()) for part in setting.replace("\n", ",").split(",") if part.strip())


def _root(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    return _local(rest if mark else text) if is_local_path(text) else _remote(scheme.lower(), rest)


def _local(path: str) -> str:
    return "file:" + os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises where there is no such user


def _remote(protocol: str, path: str) -> str:
    return f"{protocol}:" + posixpath.normpath(f"/{path.lstrip('/')}")
