"""What Airflow reads of the provider: its metadata, and the connection form made of it."""

from __future__ import annotations

import importlib
import inspect
import json
from importlib.metadata import entry_points, version
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import (
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    Connection,
    conf,
)
from airflow.triggers.base import BaseTrigger

from airflow_provider_seedance.files.download import MAX_BYTES, max_bytes
from airflow_provider_seedance.get_provider_info import get_provider_info
from airflow_provider_seedance.hooks.endpoint import Endpoint
from airflow_provider_seedance.hooks.seedance import SeedanceHook

INFO = get_provider_info()
(CONNECTION_TYPE,) = INFO["connection-types"]


def classes_in(module: str) -> list[type]:
    """Return the classes that a module offers to users: neither private nor a base of others."""
    found = vars(importlib.import_module(module)).items()
    ours = [kind for name, kind in found if inspect.isclass(kind) and kind.__module__ == module]
    return [kind for kind in ours if not kind.__name__.startswith(("_", "Base")) and not issubclass(kind, Exception)]


def test_it_is_valid_by_airflows_own_schema() -> None:
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_airflows_schema_would_refuse_a_connection_type_without_a_hook() -> None:
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**INFO, "connection-types": [{"connection-type": "seedance"}]}, schema)


@pytest.mark.parametrize(
    ("section", "base"),
    [
        ("hooks", BaseHook),
        ("operators", BaseOperator),
        ("sensors", BaseSensorOperator),
        ("triggers", BaseTrigger),
    ],
)
def test_every_module_named_holds_what_its_section_says(section: str, base: type) -> None:
    modules = [module for entry in INFO[section] for module in entry["python-modules"]]
    assert modules
    for module in modules:
        assert [kind for kind in classes_in(module) if issubclass(kind, base)], module


def test_every_transfer_named_holds_an_operator() -> None:
    for entry in INFO["transfers"]:
        assert [kind for kind in classes_in(entry["python-module"]) if issubclass(kind, BaseOperator)]


def test_every_extra_link_named_is_one_and_none_is_left_out() -> None:
    named = []
    for path in INFO["extra-links"]:
        module, _, name = path.rpartition(".")
        named.append(getattr(importlib.import_module(module), name))
    assert named == classes_in("airflow_provider_seedance.links")
    assert all(issubclass(kind, BaseOperatorLink) for kind in named)


@pytest.mark.parametrize("section", ["operators", "sensors", "triggers"])
def test_every_module_with_something_for_users_is_named(section: str) -> None:
    """A module that is not listed is missing from Airflow's reference and its ``providers`` commands."""
    folder = files("airflow_provider_seedance").joinpath(section)
    names = [file.name.removesuffix(".py") for file in folder.iterdir() if file.name.endswith(".py")]
    modules = {f"airflow_provider_seedance.{section}.{name}" for name in names if name != "__init__"}
    named = {module for entry in INFO[section] for module in entry["python-modules"]}
    assert named == {module for module in modules if classes_in(module)}


def test_every_integration_used_is_declared_or_airflows_own() -> None:
    declared = {entry["integration-name"] for entry in INFO["integrations"]}
    used = {entry["integration-name"] for name in ("hooks", "operators", "sensors", "triggers") for entry in INFO[name]}
    used |= {entry["source-integration-name"] for entry in INFO["transfers"]}
    assert used <= declared


def test_versions_and_name_are_those_of_the_distribution() -> None:
    assert INFO["versions"] == [version("airflow-provider-seedance")]
    assert INFO["package-name"] == "airflow-provider-seedance"


def test_the_entry_point_leads_to_it() -> None:
    found = entry_points(group="apache_airflow_provider")
    ours = [point for point in found if point.dist is not None and point.dist.name == "airflow-provider-seedance"]
    assert [point.load() for point in ours] == [get_provider_info]


# -- the connection form


def test_the_hook_class_named_is_the_hook_and_agrees_on_its_names() -> None:
    module, _, name = CONNECTION_TYPE["hook-class-name"].rpartition(".")
    hook: Any = getattr(importlib.import_module(module), name)
    assert hook is SeedanceHook
    assert hook.conn_type == CONNECTION_TYPE["connection-type"]
    assert hook.hook_name == CONNECTION_TYPE["hook-name"]


@pytest.mark.parametrize("field", CONNECTION_TYPE["conn-fields"].values())
def test_form_fields_may_be_left_empty(field: dict[str, Any]) -> None:
    assert field["schema"]["type"] == ["string", "null"]
    assert field["label"]
    assert field["description"]


def test_every_form_field_is_read_and_every_field_read_is_on_the_form() -> None:
    class Recorder(dict[str, Any]):
        """An extra that remembers what it was asked for."""

        asked: set[str] = set()

        def get(self, key: str, default: Any = None) -> Any:
            self.asked.add(key)
            return default

    Endpoint.from_connection(Connection(conn_id="c", conn_type="seedance", password="sk-k"), Recorder())
    assert Recorder.asked == set(CONNECTION_TYPE["conn-fields"])


def test_the_key_is_in_the_field_that_airflow_masks() -> None:
    behaviour = CONNECTION_TYPE["ui-field-behaviour"]
    assert "Key" in behaviour["relabeling"]["password"]
    assert not any("key" in name for name in CONNECTION_TYPE["conn-fields"])


def test_fields_that_are_hidden_are_not_relabelled() -> None:
    behaviour = CONNECTION_TYPE["ui-field-behaviour"]
    shown = set(behaviour["relabeling"]) | set(behaviour["placeholders"])
    assert shown.isdisjoint(behaviour["hidden-fields"])


# -- what Airflow makes of it


def test_a_connection_finds_its_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_STUDIO", json.dumps({"conn_type": "seedance", "password": "sk-mine"}))
    hook = BaseHook.get_connection("my_studio").get_hook()
    assert isinstance(hook, SeedanceHook)
    assert hook.seedance_conn_id == "my_studio"
    assert hook.endpoint.api_key == "sk-mine"


def test_airflow_lists_the_provider() -> None:
    from airflow.providers_manager import ProvidersManager

    provider = ProvidersManager().providers["airflow-provider-seedance"]
    assert provider.version == version("airflow-provider-seedance")
    assert INFO.items() <= provider.data.items()


def test_airflow_knows_the_extra_link() -> None:
    from airflow.providers_manager import ProvidersManager

    assert set(INFO["extra-links"]) <= set(ProvidersManager().extra_links_class_names)


def test_airflow_knows_the_connection_type_and_its_hook() -> None:
    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
    except ImportError:
        pytest.skip("Airflow's workers have a list of their own since 3.2")

    hook = ProvidersManagerTaskRuntime().hooks["seedance"]
    assert hook is not None
    assert hook.hook_class_name == CONNECTION_TYPE["hook-class-name"]
    assert hook.connection_id_attribute_name == "seedance_conn_id"
    assert hook.hook_name == "Seedance (Starrise AI)"


# -- the configuration


def test_settings_are_off_where_nothing_is_set() -> None:
    described = INFO["config"]["seedance"]["options"]["lineage_prompt"]
    assert described["default"] == "False"
    assert conf.getboolean("seedance", "lineage_prompt", fallback=False) is False
    assert conf.get("seedance", "allowed_media_roots", fallback="") == ""


def test_every_setting_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for section, described in INFO["config"].items():
        for option, value in described["options"].items():
            read, text, expected = {
                "boolean": (conf.getboolean, "True", True),
                "integer": (conf.getint, "7", 7),
                "string": (conf.get, "/data", "/data"),
            }[value["type"]]
            monkeypatch.setenv(f"AIRFLOW__{section}__{option}".upper(), text)
            assert read(section, option) == expected


def test_described_sizes_are_those_in_use() -> None:
    options = INFO["config"]["seedance"]["options"]
    for what, size in MAX_BYTES.items():
        assert options[f"max_{what}_bytes"]["default"] == str(size)
        assert max_bytes(what) == size


def test_airflow_describes_the_settings() -> None:
    from airflow.providers_manager import ProvidersManager

    assert ("airflow-provider-seedance", INFO["config"]) in ProvidersManager().provider_configs
