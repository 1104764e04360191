"""A plain HTTP client of an emulator's asset routes, and media to make assets of."""

from __future__ import annotations

import base64
import io
import wave
from fractions import Fraction
from typing import Any

import av
import requests
from PIL import Image

from airflow_provider_seedance.emulator import Emulator

LINK = "https://example.com/a.png"


class AssetClient:
    """Asks with the emulator's first key, or another."""

    def __init__(self, emulator: Emulator, key: str | None = None) -> None:
        self.emulator = emulator
        self.headers = {"Authorization": f"Bearer {key or emulator.api_key}"}

    def ask(self, action: str, body: Any = None, **kwargs: Any) -> requests.Response:
        if body is not None:
            kwargs["json"] = body
        url = f"{self.emulator.url}/volc/asset/{action}"
        return requests.post(url, **{"headers": self.headers, "timeout": 30, **kwargs})

    def result(self, action: str, body: Any) -> dict[str, Any]:
        answer = self.ask(action, body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def group(self, name: str = "team", **fields: Any) -> str:
        return str(self.result("CreateAssetGroup", {"model": "volc-asset", "Name": name, **fields})["Id"])

    def asset(self, group_id: str, name: str = "hero", url: str = LINK, **fields: Any) -> str:
        body = {"GroupId": group_id, "Name": name, "AssetType": "Image", "URL": url, **fields}
        return str(self.result("CreateAsset", body)["Id"])

    def get(self, asset_id: str) -> dict[str, Any]:
        return self.result("GetAsset", {"Id": asset_id})

    def listed(self, action: str = "ListAssets", filtered: Any = None, **fields: Any) -> dict[str, Any]:
        return self.result(action, {"model": "volc-asset", "Filter": filtered or {}, **fields})


def refusal(answer: requests.Response) -> tuple[int, str, str]:
    """Return status, code and message of an answer in envelope E5."""
    error = answer.json()["ResponseMetadata"]["Error"]
    return answer.status_code, error["Code"], error["Message"]


def picture(width: int = 400, height: int = 400, form: str = "png") -> bytes:
    """Make a plain red image."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (220, 40, 40)).save(buffer, form.upper())
    return buffer.getvalue()


def clip(width: int = 864, height: int = 496, seconds: float = 3, fps: int = 24, form: str = "mp4") -> bytes:
    """Make a gray video."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream: Any = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        for number in range(round(fps * seconds)):
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def sound(seconds: float = 3) -> bytes:
    """Silence as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * int(seconds * 8000))
    return buffer.getvalue()


def uri(data: bytes, declared: str = "image/png") -> str:
    """Make a data URI."""
    return f"data:{declared};base64,{base64.b64encode(data).decode()}"
