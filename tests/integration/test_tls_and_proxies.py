"""What lies between a client and the service: certificates, handshakes and proxies, for every kind of call."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_seedance.api.calls import CreateAssetGroup, CreateGeneration, PaidCall
from airflow_provider_seedance.emulator import Emulator
from airflow_provider_seedance.exceptions import (
    SeedanceError,
    SeedanceNotFoundError,
    SeedanceRequestError,
    SeedanceServiceError,
    SeedanceTransportError,
)
from airflow_provider_seedance.hooks.seedance import SeedanceHook
from airflow_provider_seedance.operators.assets import SeedanceCreateAssetGroupOperator
from airflow_provider_seedance.operators.video import SeedanceGenerateVideoOperator
from tests.clock import QuickClock
from tests.harness import Task
from tests.hostile_peer import answer, breaks_the_handshake, closes_after, hostile_peer, trickles
from tests.proxy import Way, proxy

BODY = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], "duration": 4}


def hook() -> SeedanceHook:
    """Make a hook whose waits are short."""
    return SeedanceHook(clock=QuickClock())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def tls_emulator(certificate: Path) -> Iterator[Emulator]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Emulator(speed=300, ssl_context=context) as emulator:
        yield emulator


@pytest.mark.parametrize("verify", ["bundle", False, "false"])
def test_verify_takes_a_bundle_or_false(
    tls_emulator: Emulator, connect: Callable[..., None], certificate: Path, verify: object
) -> None:
    connect(host=tls_emulator.url, extra={"verify": str(certificate) if verify == "bundle" else verify})
    assert hook().list_models()


def test_working_proxy_is_gone_through(tls_emulator: Emulator, connect: Callable[..., None], certificate: Path) -> None:
    with proxy("forward") as running:
        connect(host=tls_emulator.url, extra={"verify": str(certificate), "proxy": running.url})
        assert hook().create_generation(BODY)
    assert running.targets


async def test_asynchronous_client_takes_the_same_bundle(
    tls_emulator: Emulator, connect: Callable[..., None], certificate: Path
) -> None:
    connect(host=tls_emulator.url, extra={"verify": str(certificate)})
    async with hook().shared_client() as client:
        with pytest.raises(SeedanceNotFoundError):
            await client.get_generation("asyntask_x")


def test_neither_client_trusts_the_systems_store(
    tls_emulator: Emulator, connect: Callable[..., None], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # where OpenSSL finds it
    assert ssl.create_default_context().get_ca_certs()
    connect(host=tls_emulator.url)

    async def poll() -> None:
        async with hook().shared_client() as client:
            await client.get_generation("asyntask_x")

    for ask in (lambda: hook().get_generation("asyntask_x"), lambda: asyncio.run(poll())):
        with pytest.raises(SeedanceRequestError, match="does not verify"):
            ask()


# -- nothing was sent: nothing may be billed, and a person sees what to change

#: The situations, and what the message says. A permanent one is an error of the request.
PERMANENT = {
    "certificate": r"certificate of https://127\.0\.0\.1:\d+ does not verify .* 'verify' in the extra of connection",
    "no bundle": r"CA bundle '/nowhere/ca\.pem' does not exist .* REQUESTS_CA_BUNDLE",
    "empty bundle": r"CA bundle for https://127\.0\.0\.1:\d+ holds no certificate",
    "socks": r"SOCKS proxy socks5://127\.0\.0\.1:9\b",
    "rubbish proxy": r"The proxy 'http://bad proxy:xx' is not an address",
    "proxy of no name": r"The proxy 'http://a\.\.b:1' is not an address",
    "host of no name": r"https://a\.\.b cannot be called \(UnicodeError\)|cannot be called",
}
TRANSIENT = {
    "plain port": r"cannot be reached \(SSL.*speaks plain HTTP or something else, not TLS: check scheme and port",
    "end in the handshake": r"https://127\.0\.0\.1:\d+ cannot be reached",
    "reset in the handshake": r"https://127\.0\.0\.1:\d+ cannot be reached",
    "bad record": r"https://127\.0\.0\.1:\d+ cannot be reached",
    "silence in the handshake": r"https://127\.0\.0\.1:\d+ cannot be reached",
    "nobody": r"127\.0\.0\.1:1 cannot be reached \(ConnectionRefusedError.* host of connection 'seedance_default'",
    "407": r"The proxy http://127\.0\.0\.1:\d+ refuses .* \(HTTP 407\): set its user name and password in 'proxy'",
    "502": r"The proxy http://127\.0\.0\.1:\d+ refuses to connect to https://service\.example \(HTTP 502\)",
    "proxy nowhere": r"through the proxy http://127\.0\.0\.1:1: check that it runs.* 'proxy' .*HTTPS_PROXY",
    "proxy that hangs": r"https://service\.example cannot be reached .* through the proxy http://127\.0\.0\.1:\d+:",
    "proxy that trickles": r"https://service\.example cannot be reached .* through the proxy",
    "proxy that hangs up": r"https://service\.example cannot be reached .* through the proxy",
    "proxy that drops the tunnel": r"https://127\.0\.0\.1:\d+ cannot be reached .* through the proxy",
}


@pytest.fixture
def situation(
    tls_emulator: Emulator, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[str], None]]:
    """Bring about one of the situations."""
    for client in ("transport", "async_client"):
        monkeypatch.setattr(f"airflow_provider_seedance.hooks.{client}.CONNECT_TIMEOUT", 0.3)
    with ExitStack() as stack:

        def bring_about(name: str) -> None:
            service, timeouts = "https://service.example", {"timeout": 20, "submit_timeout": 20}

            def through(address: str, host: str = service) -> None:
                address = address.replace("://", "://someone:hunter2@")
                connect(host=host, extra={**timeouts, "proxy": address, "verify": False})

            handshakes = {
                "plain port": breaks_the_handshake(answer(b"", status="400 Bad Request")),
                "end in the handshake": breaks_the_handshake(),
                "reset in the handshake": breaks_the_handshake(reset=True),
                "bad record": breaks_the_handshake(b"\x16\x03\x03\x00\x04\x02\0\0\0"),
                "silence in the handshake": trickles(b""),
            }
            ways: dict[str, Way] = {"407": 407, "502": 502, "proxy that hangs": "hang"}
            connect(host=tls_emulator.url, extra=timeouts)
            if name in handshakes:
                peer = stack.enter_context(hostile_peer(handshakes[name]))
                connect(host=peer.url.replace("http:", "https:"), extra=timeouts)
            elif name in ways:
                through(stack.enter_context(proxy(ways[name])).url)
            elif name == "proxy that drops the tunnel":
                through(stack.enter_context(proxy("drop")).url, tls_emulator.url)
            elif name == "proxy that trickles":
                through(stack.enter_context(hostile_peer(trickles(b"HTTP/1.1 200 OK\r\nX: "))).url)
            elif name == "proxy that hangs up":
                through(stack.enter_context(hostile_peer(closes_after(b""))).url)
            elif name == "proxy nowhere":
                through("http://127.0.0.1:1")
            elif name == "nobody":
                connect(host="https://127.0.0.1:1", extra=timeouts)
            elif name == "host of no name":
                connect(host="https://a..b", extra=timeouts)
            elif name == "no bundle":
                monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
            elif name == "empty bundle":
                (tmp_path / "ca.pem").write_text("nothing in it")
                monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
            elif name == "socks":
                monkeypatch.setenv("ALL_PROXY", "socks5://someone:hunter2@127.0.0.1:9")
            elif name == "rubbish proxy":
                monkeypatch.setenv("HTTPS_PROXY", "http://bad proxy:xx")
            elif name == "proxy of no name":
                monkeypatch.setenv("HTTPS_PROXY", "http://someone:hunter2@a..b:1")
            else:
                assert name == "certificate"

        yield bring_about


def make_group() -> SeedanceCreateAssetGroupOperator:
    return SeedanceCreateAssetGroupOperator(task_id="group", name="cats", if_exists="create")


def make_video() -> SeedanceGenerateVideoOperator:
    return SeedanceGenerateVideoOperator(task_id="video", prompt="a cat")


@pytest.mark.parametrize("make", [make_video, make_group])
@pytest.mark.parametrize("name", [*PERMANENT, *TRANSIENT])
def test_what_was_not_sent_leaves_no_doubt_and_says_what_to_change(
    tls_emulator: Emulator, situation: Callable[[str], None], make: Callable[[], Any], name: str
) -> None:
    before = tls_emulator.stats()["posts"]
    situation(name)
    task = Task(make)
    expected = SeedanceRequestError if name in PERMANENT else SeedanceServiceError
    with pytest.raises(expected, match={**PERMANENT, **TRANSIENT}[name]) as caught:
        task.run()
    assert "hunter2" not in str(caught.value)
    assert task.store is not None
    assert task.store.values == {}
    assert tls_emulator.stats()["posts"] == before


@pytest.mark.parametrize("name", [*PERMANENT, *TRANSIENT])
def test_both_clients_judge_alike(situation: Callable[[str], None], name: str) -> None:
    situation(name)
    errors: list[SeedanceError] = []

    async def poll() -> None:
        async with hook().shared_client() as client:
            await client.get_generation("asyntask_x")

    said = {**PERMANENT, **TRANSIENT}[name]
    for ask in (lambda: hook().get_generation("asyntask_x", attempts=1), lambda: asyncio.run(poll())):
        with pytest.raises(SeedanceError, match=said) as caught:
            ask()
        if name == "proxy that hangs up":
            said = "closed the connection early"  # aiohttp does not tell whether it was the request's
        errors.append(caught.value)
    for call in (CreateGeneration(b"{}"), CreateAssetGroup("cats")):
        assert hook().send(call).verdict == ("refused" if name in PERMANENT else "repeat")
    assert {type(e) for e in errors} == {SeedanceRequestError if name in PERMANENT else SeedanceTransportError}
    assert len({getattr(e, "field", None) for e in errors}) == 1
    assert not any("hunter2" in str(e) for e in errors)


def test_socks_says_what_to_install(situation: Callable[[str], None]) -> None:
    situation("socks")
    with pytest.raises(SeedanceRequestError, match=r"install 'requests\[socks\]'"):
        hook().get_generation("asyntask_x")


# -- something was sent


@pytest.mark.parametrize("call", [CreateGeneration(b'{"model":"seedance-2.0"}'), CreateAssetGroup("cats")])
@pytest.mark.parametrize("way", ["reset", "close"])
@pytest.mark.parametrize("over_tls", [True, False])
def test_proxy_that_hangs_up_while_the_answer_is_awaited_loses_one_paid_call(
    emulator: Emulator,
    tls_emulator: Emulator,
    connect: Callable[..., None],
    certificate: Path,
    way: Way,
    over_tls: bool,
    call: PaidCall,
) -> None:
    service = tls_emulator if over_tls else emulator
    service.reset()
    for route in ("create", "CreateAssetGroup"):
        service.fault(route=route, hang=5.0, count=0)
    with proxy(way, until=lambda: len(service.requests()) > 0) as running:
        connect(host=service.url, extra={"verify": str(certificate), "proxy": running.url, "submit_timeout": 4})
        assert hook().send(call).verdict == "lost"
    assert len(service.requests()) == 1
    assert len(running.targets) == 1


# -- storage


def test_certificate_of_the_storage_names_its_host_and_whose_setting_it_is(
    tls_emulator: Emulator, connect: Callable[..., None], certificate: Path
) -> None:
    connect(host=tls_emulator.url, extra={"verify": str(certificate)})
    with (
        pytest.raises(
            SeedanceRequestError,
            match=r"storage of the result at 127\.0\.0\.1 .* REQUESTS_CA_BUNDLE .*'seedance_default'",
        ) as caught,
        hook().download(f"{tls_emulator.url}/v.mp4?Signature=s3cret"),
    ):
        pass
    assert "s3cret" not in str(caught.value)


def test_download_trusts_the_bundle_of_the_environment(
    tls_emulator: Emulator, connect: Callable[..., None], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(host="http://127.0.0.1:1", extra={"proxy": "http://127.0.0.1:1"})
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with hook().download(f"{tls_emulator.url}/v1/nothing") as response:
        assert response.status_code == 404


def test_download_goes_through_the_proxy_of_the_environment(
    emulator: Emulator, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(host="http://127.0.0.1:1")
    with proxy("forward") as running:
        monkeypatch.setenv("HTTP_PROXY", running.url)
        with hook().download(f"{emulator.url}/v1/nothing") as response:
            assert response.status_code == 404
    assert running.targets


def test_storage_that_is_blocked_names_its_host_and_the_remedy(connect: Callable[..., None]) -> None:
    connect(host="http://127.0.0.1:1")
    with (
        pytest.raises(
            SeedanceServiceError, match=r"at 127\.0\.0\.1 cannot be reached .* HTTPS_PROXY .*'seedance_default'"
        ) as caught,
        hook().download("http://127.0.0.1:1/v.mp4?Signature=s3cret"),
    ):
        pass
    assert "s3cret" not in str(caught.value)
