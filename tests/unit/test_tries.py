"""What is read from Airflow's own objects: tries of a task instance, what XCom takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_seedance.version_compat import first_try_since_cleared, xcom_safe


@pytest.mark.parametrize(
    ("max_tries", "retries", "first"),
    [(0, 0, 1), (2, 2, 1), (5, 2, 4), (1, 0, 2), (1, 3, 1), ("5", "2", 4), (3, None, 4), (0, None, 1)],
)
def test_first_try_since_cleared(max_tries: Any, retries: Any, first: int) -> None:
    context = {"ti": SimpleNamespace(max_tries=max_tries)}
    assert first_try_since_cleared(SimpleNamespace(retries=retries), context) == first


@pytest.mark.parametrize(("before", "kept"), [(True, {"a": 0}), (False, {"a": 0, "b": None})])
def test_none_is_left_out_before_airflow_3_1(
    monkeypatch: pytest.MonkeyPatch, before: bool, kept: dict[str, Any]
) -> None:
    monkeypatch.setattr("airflow_provider_seedance.version_compat._BEFORE_3_1", before)
    assert xcom_safe({"a": 0, "b": None}) == kept
