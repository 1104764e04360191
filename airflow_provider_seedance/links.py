"""
The button on a task's page in Airflow that leads to its video.

An operator offers it by ``operator_extra_links = (SeedanceVideoLink(),)``, and says where it leads by setting its
``video_link`` when it delivers, hidden from whoever shows an operator's attributes. Airflow asks for the link in the
same process once the task has ended, and stores it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_seedance.hooks.hidden import reveal

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
#: Schemes with which a browser runs or shows what the address itself holds, whatever follows them.
_EXECUTING = {"javascript", "vbscript", "data", "blob", "filesystem", "about", "view-source"}
#: What an address may hold unquoted in its path, besides letters, digits and ``-._~``.
_IN_PATH = "/!$&'()*+,;=:@"
_AZURE = {"abfs", "abfss", "az", "wasb", "wasbs"}
#: Host of an Azure storage account, as in ``container@account.dfs.core.windows.net``.
_AZURE_HOST = re.compile(r"([a-z0-9]+)\.(?:dfs|blob)\.([a-z0-9.-]+)", re.IGNORECASE)


class SeedanceVideoLink(BaseOperatorLink):
    """
    The link to a video: at the service as long as its signature lives, or where a transfer has saved it.

    Airflow's UI shows no button for an empty link, and from 3.3 on none for one that is not ``http(s)``.
    """

    name = "Seedance video"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the operator's ``video_link``, empty where it delivered none or where opening it would run code.

        Not None, which Airflow 3.0 cannot store.
        """
        link = str(reveal(getattr(operator, "video_link", None)) or "")
        address = _ADDRESS.fullmatch(link)
        return link if address is not None and address[1].lower() not in _EXECUTING else ""


def browser_url(path: str) -> str:
    """
    Return the address at which a browser shows a stored file.

    S3 and Google Cloud Storage: the object's page in the console. Azure: the blob, where the path names its account.
    Files: ``file://``. Anything else stays what it is. Connection ids, passwords, queries and signatures are left out.

    :param path: A path as ``ObjectStoragePath`` takes it; what stands in it is not quoted yet, but for ``http(s)``.
    :returns: The address, percent-encoded; empty where opening it would run code.
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
    if scheme in _AZURE and user and (account := _AZURE_HOST.fullmatch(place)):
        container = quote(user.rpartition("@")[2], safe="")
        return f"https://{account[1]}.blob.{account[2]}/{container}/{quote(key)}"
    return f"{scheme}://{_host(place)}/{quote(key, safe=_IN_PATH)}"


def _file_url(path: str) -> str:
    return Path(path).absolute().as_uri()


def _host(place: str) -> str:
    return quote(place, safe=":[].-_~")
