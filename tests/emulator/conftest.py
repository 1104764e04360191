from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from PIL import Image

from airflow_provider_seedance.emulator import Emulator
from tests.emulator.asset_client import AssetClient


class Client:
    """A plain HTTP client of an emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.headers = {"Authorization": f"Bearer {emulator.api_key}"}

    def create(self, body: Any = None, **kwargs: Any) -> requests.Response:
        if body is not None:
            kwargs["json"] = body
        url = f"{self.emulator.url}/v1/video/generations"
        return requests.post(url, **{"headers": self.headers, "timeout": 30, **kwargs})

    def generate(self, **fields: Any) -> str:
        body = {"model": "seedance-2.0", "content": [{"type": "text", "text": "a cat"}], **fields}
        answer = self.create(body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def query(self, generation_id: str, **kwargs: Any) -> requests.Response:
        url = f"{self.emulator.url}/v1/video/generations/{generation_id}"
        return requests.get(url, **{"headers": self.headers, "timeout": 30, **kwargs})

    def task(self, generation_id: str) -> dict[str, Any]:
        answer = self.query(generation_id)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    def download(self, **fields: Any) -> bytes:
        answer = requests.get(self.task(self.generate(**fields))["result_url"], timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.content


@pytest.fixture(scope="module")
def module_emulator() -> Iterator[Emulator]:
    """One server for a module's tests; generations end at once."""
    with Emulator(speed=float("inf")) as running:
        yield running


@pytest.fixture
def emulator(module_emulator: Emulator) -> Emulator:
    """The module's emulator, without memory of the tests before."""
    module_emulator.reset()
    return module_emulator


@pytest.fixture
def client(emulator: Emulator) -> Client:
    return Client(emulator)


@pytest.fixture
def assets(emulator: Emulator) -> AssetClient:
    return AssetClient(emulator)


@pytest.fixture
def slow_client() -> Iterator[Client]:
    """A client of an emulator whose generations run until finish() is called."""
    with Emulator(speed=1e-6) as running:
        yield Client(running)


@pytest.fixture(scope="session")
def image_uri() -> Callable[..., str]:
    """Makes the data URI of a plain image."""

    def make(width: int = 400, height: int = 400, kind: str = "png", declared: str | None = None) -> str:
        buffer = io.BytesIO()
        Image.new("RGB", (width, height), (220, 40, 40)).save(buffer, kind.upper())
        return f"data:image/{declared or kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"

    return make
