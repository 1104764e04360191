from __future__ import annotations

import datetime
import importlib.util
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import requests

from airflow_provider_seedance.emulator import Emulator, EmulatorControl
from airflow_provider_seedance.emulator.__main__ import main

MODULE = [sys.executable, "-m", "airflow_provider_seedance.emulator"]


def output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the emulator on a free port; gives the process and its base URL."""
    process = subprocess.Popen(
        [*MODULE, "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = output(process).readline().strip()
        assert line.startswith("listening on http"), (line, process.stderr)
        yield process, line.removeprefix("listening on ")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_prints_its_address_and_exits_with_0_on_a_signal(number: signal.Signals) -> None:
    with running("--speed", "10", "--api-key", "sk-a", "--api-key", "sk-b") as (process, url):
        hint = output(process).readline()
        assert json.loads(hint.partition("=")[2].strip().strip("'"))["host"] == url
        assert hint.startswith("export AIRFLOW_CONN_SEEDANCE_DEFAULT=")
        for key, status in (("sk-a", 200), ("sk-b", 200), ("sk-emulator", 401)):
            answer = requests.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=10)
            assert answer.status_code == status
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_printed_address_can_be_called_if_it_listens_everywhere() -> None:
    with running("--host", "0.0.0.0") as (_, url):
        assert url.startswith("http://127.0.0.1:")
        assert EmulatorControl(url).stats()["created"] == 0


def test_options_reach_the_emulator() -> None:
    fault = json.dumps({"route": "models", "status": 418})
    options = ["--fault", fault, "--moderate-input-word", "forbidden", "--speed", "9"]
    with running(*options) as (_, url):
        headers = {"Authorization": "Bearer sk-emulator"}
        assert requests.get(f"{url}/v1/models", headers=headers, timeout=10).status_code == 418
        for text, status in (("forbidden", 400), ("allowed", 200)):
            body = {"model": "seedance-2.0", "content": [{"type": "text", "text": text}]}
            answer = requests.post(f"{url}/v1/video/generations", json=body, headers=headers, timeout=10)
            assert answer.status_code == status
        [generation] = EmulatorControl(url).generations()
        assert generation["ends_at"] - generation["created_at"] == pytest.approx(10)


def test_taken_port_is_reported_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with Emulator() as emulator:
        port = emulator.url.rpartition(":")[2]
        assert main(["--port", port]) == 1
    assert f"port {port} of 127.0.0.1 is taken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--fault", "{"], "Expecting"),
        (["--fault", '{"route": "create"}'], "exactly one of"),
        (["--speed", "0"], "speed"),
        (["--certfile", "/does/not/exist"], "No such file"),
    ],
)
def test_bad_option_is_reported_with_status_1(
    capsys: pytest.CaptureFixture[str], options: list[str], reason: str
) -> None:
    assert main(["--port", "0", *options]) == 1
    assert reason in capsys.readouterr().err


def test_missing_codecs_are_reported_with_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["--port", "0"]) == 1
    message = capsys.readouterr().err
    assert "PyAV and Pillow" in message
    assert "pip install 'airflow-provider-seedance[emulator]'" in message


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "emulator")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "emulator.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificate_makes_it_serve_https_that_does_not_verify(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with Emulator(ssl_context=context) as emulator:
        assert emulator.url.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{emulator.url}/v1/models", timeout=10)
        emulator.fault(route="models", drop="after_body")
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{emulator.url}/v1/models", timeout=10, verify=False)
        assert emulator.stats()["models"] == 1


def test_process_serves_https_with_a_certificate(certificate: Path) -> None:
    with running("--certfile", str(certificate)) as (_, url):
        assert url.startswith("https://")
        assert EmulatorControl(url).stats()["posts"] == 0
