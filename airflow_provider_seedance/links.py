"""
The button on a task's page in Airflow that opens its video.

An operator declares it with ``operator_extra_links = (SeedanceVideoLink(),)`` and sets its own ``video_link``, redacted
wherever an operator's attributes are shown, when it returns its result. Airflow reads the link in the same process
after the task has ended, and stores it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_seedance.api.redact import unwrap

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
#: Schemes that make a browser run or show what the address itself contains.
_EXECUTING = {"javascript", "vbscript", "data", "blob", "filesystem", "about", "view-source"}
#: Characters that need no quoting in an address' path, besides letters, digits and ``-._~``.
_IN_PATH = "/!$&'()*+,;=:@"
_AZURE = {"abfs", "abfss", "az", "wasb", "wasbs"}
#: Host of an Azure storage account, as in ``container@account.dfs.core.windows.net``. Compiled when first used.
_AZURE_HOST = r"(?i)([a-z0-9]+)\.(?:dfs|blob)\.([a-z0-9.-]+)"


class SeedanceVideoLink(BaseOperatorLink):
    """
    The link to a video: at the service until the link's signature expires, or in the storage a transfer saved it to.

    Airflow's UI shows no button for an empty link, nor, since 3.3, for one that is not ``http(s)``.
    """

    name = "Seedance video"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the operator's ``video_link``.

        :param operator: The operator that ran.
        :param ti_key: Not used.
        :returns: The link. Empty if the operator set none, or if opening it would run code; never None, which
            Airflow 3.0 cannot store.
        """
        link = str(unwrap(getattr(operator, "video_link", None)) or "")
        address = _ADDRESS.fullmatch(link)
        return link if address is not None and address[1].lower() not in _EXECUTING else ""


def browser_url(path: str) -> str:
    """
    Return the address that opens a stored file in a browser.

    For S3 and Google Cloud Storage, the object's page in the console. For Azure, the blob, if the path names its
    account. For files, a ``file://`` address. Other paths keep their form. Connection ids, passwords, queries and
    signatures are removed.

    :param path: A path that ``ObjectStoragePath`` opens, not yet quoted, except for ``http(s)``.
    :returns: The address, percent-encoded. Empty if opening it would run code.
    """
    address = _ADDRESS.fullmatch(path)
    if address is None:
        return "" if path.partition(":")[0].strip().lower() in _EXECUTING else _file_url(path)
    scheme, authority, key = address[1].lower(), address[2], address[3].removeprefix("/")
    user, _, place = authority.rpartition("@")
    if scheme in _EXECUTING:
        return ""
    if scheme in ("file", "local"):
        return _file_url(place + address[3])
    if scheme in ("http", "https"):
        return f"{scheme}://{_host(place)}/{quote(re.split('[?#]', key)[0], safe=_IN_PATH + '%')}"
    if scheme in ("s3", "s3a", "s3n"):
        return f"https://console.aws.amazon.com/s3/object/{quote(place, safe='')}?prefix={quote(key, safe='')}"
    if scheme in ("gs", "gcs"):
        return f"https://console.cloud.google.com/storage/browser/_details/{quote(place, safe='')}/{quote(key)}"
    if scheme in _AZURE and user and (account := re.fullmatch(_AZURE_HOST, place)):
        container = quote(user.rpartition("@")[2], safe="")
        return f"https://{account[1]}.blob.{account[2]}/{container}/{quote(key)}"
    return f"{scheme}://{_host(place)}/{quote(key, safe=_IN_PATH)}"


def _file_url(path: str) -> str:
    return Path(path).absolute().as_uri()


def _host(place: str) -> str:
    return quote(place, safe=":[].-_~")
