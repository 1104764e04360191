"""Ids as a Dag's author gives them: an id, or the result dictionary of the task that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from airflow_provider_seedance.api.parse import as_id
from airflow_provider_seedance.api.values import GAVE_NOTHING, is_nothing, refuse, shown


def check_generation_id(value: object) -> str:
    """
    Return the generation id in a value that a Dag's author gave.

    :param value: An id, or the result of ``SeedanceGenerateVideoOperator``.
    :raises SeedanceRequestError: There is no id, or it is not a valid one.
    """
    given = value.get("generation_id") if isinstance(value, Mapping) else value
    return _id(given) or _refuse(value, "generation", "generation", "'asyntask_...'", "SeedanceGenerateVideoOperator")


def check_asset_id(value: object) -> str:
    """
    Return the asset id in a value that a Dag's author gave.

    :param value: An id, ``asset://<id>``, or the result of ``SeedanceCreateAssetOperator``.
    :raises SeedanceRequestError: There is no id, or it is not a valid one.
    """
    given = value.get("asset_id") if isinstance(value, Mapping) else value
    if isinstance(given, str) and given.strip().lower().startswith("asset://"):
        given = given.strip()[len("asset://") :]
    if isinstance(given, str) and given.strip().startswith("group-"):
        fault = f"is {shown(given.strip())}, the id of an asset group"
        refuse("asset", fault, "Give an asset's id; a group is deleted in the Starrise console")
    return _id(given) or _refuse(value, "asset", "asset", "'asset-...' or asset://<id>", "SeedanceCreateAssetOperator")


def check_group_id(value: object) -> str:
    """
    Return the id of an asset group that a Dag's author gave.

    :raises SeedanceRequestError: There is no id, or it is not a valid one.
    """
    if isinstance(value, str) and value.strip().lower().startswith(("asset-", "asset://")):
        refuse("group_id", f"is {shown(value.strip())}, an asset", "Give the id of the group that it goes into")
    return _id(value) or _refuse(value, "group_id", "asset group", "'group-...'", "SeedanceCreateAssetGroupOperator")


def _id(value: object) -> str | None:
    return None if is_nothing(value) else as_id(value)


def _refuse(value: object, parameter: str, noun: str, example: str, operator: str) -> NoReturn:
    got = f"{type(value).__name__}{' without a usable id' if isinstance(value, Mapping) else ''}"
    if is_nothing(value):
        got = f"{shown(value)}: {GAVE_NOTHING}"
    refuse(parameter, f"contains no {noun} id, but {got}", f"Give an id such as {example}, or the result of {operator}")
