"""The few calls of Airflow's REST API that the tools need."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests


class AirflowRest:
    """
    A client of one Airflow's public REST API (``/api/v2``).

    :param url: The API server's base URL.
    :param username: A user of the simple auth manager.
    :param password: That user's password.
    """

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self._login = {"username": username, "password": password}
        self._session = requests.Session()
        # no proxy from the environment between two local processes
        self._session.trust_env = False

    def log_in(self) -> None:
        """
        Fetch a token, which every later call sends.

        :raises requests.RequestException: while the API server is not up.
        """
        answer = self._session.post(f"{self.url}/auth/token", json=self._login, timeout=10)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def health(self) -> dict[str, Any]:
        """Return the health of the metadata database and of each component."""
        answer: dict[str, Any] = self._call("GET", "monitor/health").json()
        return answer

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the errors of parsing Dag files, one dictionary per file."""
        errors: list[dict[str, Any]] = self._call("GET", "importErrors").json()["import_errors"]
        return errors

    def has_dag(self, dag_id: str) -> bool:
        """Return whether the Dag has been parsed and stored."""
        return self._call("GET", f"dags/{quote(dag_id)}", missing_ok=True).status_code != 404

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """
        Unpause a Dag and start a run of it.

        :param conf: The run's params.
        :returns: The run's id.
        """
        self._call("PATCH", f"dags/{quote(dag_id)}", json={"is_paused": False})
        body = {"logical_date": None, "conf": conf or {}}
        run_id: str = self._call("POST", f"dags/{quote(dag_id)}/dagRuns", json=body).json()["dag_run_id"]
        return run_id

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a Dag run: ``queued``, ``running``, ``success`` or ``failed``."""
        state: str = self._call("GET", _run(dag_id, run_id)).json()["state"]
        return state

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the run's task instances: ``id``, ``task_id``, ``map_index``, ``state``, ``try_number`` and more."""
        answer = self._call("GET", f"{_run(dag_id, run_id)}/taskInstances")
        instances: list[dict[str, Any]] = answer.json()["task_instances"]
        return instances

    def task_instance(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return one task instance of an unmapped task."""
        answer: dict[str, Any] = self._call("GET", _task(dag_id, run_id, task_id)).json()
        return answer

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task and those downstream of it, as a person does."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
        }
        self._call("POST", f"dags/{quote(dag_id)}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task as ``success`` or ``failed``, as a person does."""
        self._call("PATCH", _task(dag_id, run_id, task_id), json={"new_state": state})

    def put_connection(self, conn_id: str, **fields: Any) -> None:
        """
        Create a connection in the metadata database, or replace it.

        :param fields: ``conn_type``, ``host``, ``password``, ``extra`` (as JSON text) and so on.
        """
        body = {"connection_id": conn_id, **fields}
        known = self._call("GET", f"connections/{quote(conn_id)}", missing_ok=True).status_code != 404
        if known:
            self._call("PATCH", f"connections/{quote(conn_id)}", json=body)
        else:
            self._call("POST", "connections", json=body)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return the value that a task pushed, or None while there is none."""
        path = f"{_task(dag_id, run_id, task_id)}/xcomEntries/{quote(key)}"
        answer = self._call("GET", path, params={"deserialize": "true"}, missing_ok=True)
        return None if answer.status_code == 404 else answer.json()["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """Return the log of one try as plain text: a line per event, with its exceptions."""
        path = f"{_task(dag_id, run_id, task_id)}/logs/{try_number}"
        answer = self._call("GET", path, params={"full_content": "true"}, missing_ok=True)
        if answer.status_code == 404:
            return ""
        return "\n".join(_line(entry) for entry in answer.json()["content"])

    def _call(
        self,
        method: str,
        path: str,
        *,
        missing_ok: bool = False,
        json: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
    ) -> requests.Response:
        answer = self._session.request(
            method,
            f"{self.url}/api/v2/{path}",
            json=json,
            params=params,
            headers={"Accept": "application/json"},
            timeout=30,
        )
        if answer.status_code >= 400 and not (missing_ok and answer.status_code == 404):
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text}", response=answer)
        return answer


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _task(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}"


def _line(entry: dict[str, Any] | str) -> str:
    if isinstance(entry, str):
        return entry
    head = " ".join(str(entry[key]) for key in ("timestamp", "level", "event") if entry.get(key))
    errors = [f"\n  {error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or ()]
    return head + "".join(errors)
