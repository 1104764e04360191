"""What a connection says, in every spelling that people and Airflow's own forms give it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook, Connection

from airflow_provider_seedance.emulator import EmulatorControl
from airflow_provider_seedance.exceptions import SeedanceAuthError, SeedanceRequestError
from airflow_provider_seedance.get_provider_info import get_provider_info
from airflow_provider_seedance.hooks import endpoint
from airflow_provider_seedance.hooks.endpoint import Endpoint, warn_if_unencrypted

KEY = "sk-0123456789abcdef"


def connection(extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    return Connection(
        conn_id="studio",
        conn_type="seedance",
        **{"password": KEY, **fields},
        extra=json.dumps(extra) if extra is not None else None,
    )


def read(conn: Connection) -> Endpoint:
    return Endpoint.from_connection(conn, conn.extra_dejson)


def read_uri(uri: str, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """Read a connection as Airflow makes it from a URI in the environment."""
    monkeypatch.setenv("AIRFLOW_CONN_STUDIO", uri)
    return read(BaseHook.get_connection("studio"))


def with_extra(**extra: Any) -> Endpoint:
    return read(connection(extra))


# -- the extra as a whole


@pytest.mark.parametrize("text", ["timeout: 60", '{"timeout": 7', "null", "['timeout']", '["timeout", 60]', "7", '"x"'])
def test_extra_that_is_no_json_object_is_refused_and_not_shown(text: str) -> None:
    conn = connection()
    conn.extra = text
    with pytest.raises(SeedanceRequestError, match="extra of connection 'studio' is not a JSON object") as caught:
        read(conn)
    assert caught.value.field == "extra"
    assert text not in str(caught.value)


@pytest.mark.parametrize("text", [None, "", "  ", "{}", "{ }"])
def test_extra_may_be_empty(text: str | None) -> None:
    conn = connection()
    conn.extra = text
    assert read(conn).timeout == 60


def test_misspelt_extra_is_said_once_without_its_value(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_warned_unknown", set())
    for _ in range(3):
        assert with_extra(submit_timout="secret-value", timeout=5).timeout == 5
    assert caplog.text.count("Ignored in the extra: 'submit_timout' (connection 'studio')") == 1
    assert "submit_timeout" in caplog.text
    assert "secret-value" not in caplog.text


def test_fields_of_the_form_are_those_that_are_read(caplog: pytest.LogCaptureFixture) -> None:
    (connection_type,) = get_provider_info()["connection-types"]
    assert tuple(connection_type["conn-fields"]) == endpoint.EXTRA_FIELDS
    with_extra(**dict.fromkeys(endpoint.EXTRA_FIELDS))
    assert "Ignored in the extra" not in caplog.text


# -- base URLs


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({}, "https://ai.alad.com"),
        ({"host": ""}, "https://ai.alad.com"),
        ({"host": "  "}, "https://ai.alad.com"),
        ({"host": "https://ai.alad.com"}, "https://ai.alad.com"),
        ({"host": "https://ai.alad.com/"}, "https://ai.alad.com"),
        ({"host": "https://ai.alad.com//"}, "https://ai.alad.com"),
        ({"host": "https://ai.alad.com/v1"}, "https://ai.alad.com"),
        ({"host": "https://ai.alad.com/v1/"}, "https://ai.alad.com"),
        ({"host": " https://ai.alad.com "}, "https://ai.alad.com"),
        ({"host": "HTTPS://ai.alad.com"}, "https://ai.alad.com"),
        ({"host": "ai.alad.com"}, "https://ai.alad.com"),
        ({"host": "ai.alad.com/v1"}, "https://ai.alad.com"),
        ({"host": "ai.alad.com", "schema": "https"}, "https://ai.alad.com"),
        ({"host": "ai.alad.com", "schema": "https://"}, "https://ai.alad.com"),
        ({"host": "ai.alad.com", "port": 8443}, "https://ai.alad.com:8443"),
        ({"host": "gateway.internal:8443"}, "https://gateway.internal:8443"),
        ({"host": "http://127.0.0.1:8765"}, "http://127.0.0.1:8765"),
        ({"host": "127.0.0.1", "schema": "http", "port": 8765}, "http://127.0.0.1:8765"),
        ({"host": "localhost:8765", "schema": "http"}, "http://localhost:8765"),
        ({"host": "http://127.0.0.1:8765", "port": 8765}, "http://127.0.0.1:8765"),
        ({"host": "http://127.0.0.1:8765", "schema": "https"}, "http://127.0.0.1:8765"),
        ({"host": "http://127.0.0.1", "port": 8765}, "http://127.0.0.1:8765"),
        ({"host": "https://gateway.internal/seedance"}, "https://gateway.internal/seedance"),
        ({"host": "https://gateway.internal/seedance/v1/"}, "https://gateway.internal/seedance"),
        ({"host": "https://gateway.internal/seedance", "port": 8443}, "https://gateway.internal:8443/seedance"),
        ({"host": "http://[::1]:8765"}, "http://[::1]:8765"),
        ({"host": "[::1]:8765", "schema": "http"}, "http://[::1]:8765"),
        ({"host": "::1", "schema": "http", "port": 8765}, "http://[::1]:8765"),
    ],
)
def test_every_spelling_of_the_base_url_is_understood(fields: dict[str, Any], base_url: str) -> None:
    assert read(connection(**fields)).base_url == base_url


@pytest.mark.parametrize(
    ("uri", "base_url"),
    [
        ("seedance://:sk-0123456789abcdef@", "https://ai.alad.com"),
        ("seedance://:sk-0123456789abcdef@ai.alad.com", "https://ai.alad.com"),
        ("seedance://:sk-0123456789abcdef@ai.alad.com/https", "https://ai.alad.com"),
        ("seedance://:sk-0123456789abcdef@127.0.0.1:8765/http", "http://127.0.0.1:8765"),
        ("seedance://:sk-0123456789abcdef@gateway.internal:8443/https", "https://gateway.internal:8443"),
        ("seedance://http://:sk-0123456789abcdef@127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("seedance://:sk-0123456789abcdef@https%3A%2F%2Fai.alad.com", "https://ai.alad.com"),
        ("seedance://:sk-0123456789abcdef@[::1]:8765/http", "http://[::1]:8765"),
    ],
)
def test_connections_given_as_uris_are_understood(uri: str, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = read_uri(uri, monkeypatch)
    assert (endpoint.base_url, endpoint.api_key) == (base_url, KEY)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8765", "https://localhost:40001", "http://[::1]:8765"])
def test_the_emulators_uri_and_json_lead_to_the_same_place(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    from airflow.providers.common.compat.sdk import BaseHook

    emulator = EmulatorControl(url, "sk-a/b+c=@:%")
    for text in (emulator.connection_uri(), emulator.connection_json()):
        monkeypatch.setenv("AIRFLOW_CONN_EMULATED", text)
        endpoint = read(BaseHook.get_connection("emulated"))
        assert (endpoint.base_url, endpoint.api_key) == (url, emulator.api_key)


def test_extra_in_a_uri_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "seedance://:sk-0123456789abcdef@ai.alad.com/https?model=seedance-2.0-ultra&timeout=5&verify=false"
    endpoint = read_uri(uri, monkeypatch)
    assert (endpoint.model, endpoint.timeout, endpoint.verify) == ("seedance-2.0-ultra", 5.0, False)


@pytest.mark.parametrize(
    "host",
    [
        "ftp://ai.alad.com",
        "https://",
        "https:///v1",
        "https://user:secret-word@ai.alad.com",
        "https://ai.alad.com?key=secret-word",
        "https://ai.alad.com:port",
        "https://ai.alad.com:99999",
        "https://[::1",
    ],
)
def test_a_host_that_is_no_base_url_is_refused_by_name(host: str) -> None:
    with pytest.raises(SeedanceRequestError) as caught:
        read(connection(host=host))
    assert caught.value.field == "host"
    assert "'studio'" in str(caught.value)
    assert "https://ai.alad.com" in str(caught.value)
    assert "secret-word" not in str(caught.value)


def test_a_connection_without_an_id_is_named_by_the_default() -> None:
    with pytest.raises(SeedanceAuthError, match="'seedance_default'"):
        Endpoint.from_connection(Connection(conn_id="", conn_type="seedance"), {})


# -- keys


@pytest.mark.parametrize("password", [KEY, f"  {KEY} ", f"{KEY}\n", f"{KEY}\r\n", f"Bearer {KEY}", f" Bearer {KEY}\n"])
def test_what_pasting_adds_to_a_key_is_taken_off(password: str) -> None:
    assert read(connection(password=password)).api_key == KEY


@pytest.mark.parametrize("password", [None, "", "   ", "\n", "Bearer ", "bearer"])
def test_a_missing_key_says_where_to_put_it(password: str | None) -> None:
    with pytest.raises(SeedanceAuthError, match=r"'studio' has no key: set its password"):
        read(connection(password=password))


@pytest.mark.parametrize(
    "password", ["sk-kéy-0123456789", "sk-key 0123456789", "sk-key\n0123456789", "sk-\x00key", "密钥"]
)
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(password: str) -> None:
    with pytest.raises(SeedanceAuthError, match="password of connection 'studio'") as caught:
        read(connection(password=password))
    assert password not in str(caught.value)


def test_neither_key_nor_proxy_is_in_the_repr() -> None:
    shown = repr(with_extra(proxy="http://user:proxy-secret@proxy.internal:3128"))
    assert "studio" in shown
    assert KEY not in shown
    assert "proxy-secret" not in shown


# -- extra


def test_defaults_are_those_of_the_form() -> None:
    endpoint = read(connection())
    assert (endpoint.model, endpoint.timeout, endpoint.submit_timeout) == (None, 60.0, 300.0)
    assert endpoint.verify is True
    assert endpoint.proxy is None


def test_fields_left_empty_on_the_form_are_defaults() -> None:
    empty = dict.fromkeys(("model", "timeout", "submit_timeout", "verify", "proxy"), "")
    assert with_extra(**empty) == with_extra(**dict.fromkeys(empty)) == read(connection())


@pytest.mark.parametrize("name", ["timeout", "submit_timeout"])
@pytest.mark.parametrize(("value", "seconds"), [(5, 5.0), (0.5, 0.5), ("5", 5.0), (" 7.5 ", 7.5)])
def test_times_are_numbers_or_text_of_numbers(name: str, value: object, seconds: float) -> None:
    assert getattr(with_extra(**{name: value}), name) == seconds


@pytest.mark.parametrize("name", ["timeout", "submit_timeout"])
@pytest.mark.parametrize("value", [0, -1, "0", "soon", "5 s", "nan", "inf", 1e12, True, [5], {}])
def test_bad_times_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SeedanceRequestError, match=f"'{name}' in the extra of connection 'studio'") as caught:
        with_extra(**{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("value", "verify"),
    [(True, True), (False, False), ("true", True), ("False", False), (" TRUE ", True), (None, True), ("", True)],
)
def test_verify_is_a_truth_value_or_its_text(value: object, verify: bool) -> None:
    assert with_extra(verify=value).verify is verify


def test_verify_is_the_path_of_a_bundle_that_exists(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert with_extra(verify=str(bundle)).verify == str(bundle)
    assert with_extra(verify=str(tmp_path)).verify == str(tmp_path)


@pytest.mark.parametrize("value", ["/no/such/bundle.pem", "yes", 1, 0])
def test_any_other_verify_is_refused_by_name(value: object) -> None:
    with pytest.raises(SeedanceRequestError, match="'verify' in the extra of connection 'studio'") as caught:
        with_extra(verify=value)
    assert caught.value.field == "verify"


@pytest.mark.parametrize("value", ["http://proxy.internal:3128", "https://proxy.internal", " http://u:p@proxy:3128 "])
def test_a_proxy_is_an_address(value: str) -> None:
    assert with_extra(proxy=value).proxy == value.strip()


@pytest.mark.parametrize("value", ["10.0.0.7:3128", "socks5://secret-word@proxy:1080"])
def test_any_other_proxy_is_refused_by_name_without_showing_it(value: str) -> None:
    with pytest.raises(SeedanceRequestError, match="'proxy' in the extra of connection 'studio'") as caught:
        with_extra(proxy=value)
    assert caught.value.field == "proxy"
    assert value not in str(caught.value)


# -- keys in clear


@pytest.mark.parametrize(
    ("host", "unencrypted"),
    [
        ("https://ai.alad.com", False),
        ("http://ai.alad.com", True),
        ("http://10.0.0.7:8765", True),
        ("http://localhost:8765", False),
        ("http://127.0.0.1:8765", False),
        ("http://127.9.9.9", False),
        ("http://[::1]:8765", False),
        ("http://localhost.example.com", True),
        ("http://127.example.com", True),
    ],
)
def test_a_key_crosses_a_network_unencrypted_over_plain_http_to_another_host(host: str, unencrypted: bool) -> None:
    assert read(connection(host=host)).sends_key_unencrypted is unencrypted


def test_it_is_warned_about_once_without_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoint = read(connection(host="http://gateway.internal"))
    with caplog.at_level(logging.WARNING):
        warn_if_unencrypted(endpoint)
        warn_if_unencrypted(endpoint)
        warn_if_unencrypted(read(connection()))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "http://gateway.internal" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("conn_type", ["aws", "http", "generic", "", None])
def test_connection_of_another_type_is_refused_before_its_password_is_read(conn_type: str | None) -> None:
    conn = connection()
    conn.conn_type = conn_type
    with pytest.raises(SeedanceRequestError, match="type") as caught:
        read(conn)
    assert caught.value.field == "seedance_conn_id"
    assert KEY not in str(caught.value)
