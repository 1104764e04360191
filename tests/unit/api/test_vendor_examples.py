"""The vendor's own curl examples of a generation: each is one request, and the JSON is what its page shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_seedance.api.request import GenerationRequest

#: What the page documents as the default of a field that an example leaves out.
DOCUMENTED_DEFAULTS = {
    "generate_audio": True,
    "resolution": "720p",
    "ratio": "adaptive",
    "duration": 5,
    "watermark": False,
}

ASSET = """
curl https://ai.alad.com/v1/video/generations \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "seedance-2.0",
    "content": [
      {
        "type": "text",
        "text": "The person in @image1 walks down a sunny street, cinematic quality"
      },
      {
        "type": "image_url",
        "image_url": {
          "url": "asset://asset-20260427160000-xxxxx"
        },
        "role": "reference_image"
      }
    ],
    "resolution": "720p",
    "duration": 5
  }'
"""

TEXT_TO_VIDEO = """
curl https://ai.alad.com/v1/video/generations \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "seedance-2.0",
    "content": [
      {
        "type": "text",
        "text": "A cat playing piano in a sunlit room, cinematic lighting"
      }
    ],
    "generate_audio": true,
    "ratio": "16:9",
    "duration": 8
  }'
"""

MULTIMODAL_REFERENCE = """
curl https://ai.alad.com/v1/video/generations \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "seedance-2.0",
    "content": [
      {
        "type": "text",
        "text": "The character from @image1 dances in the scene from @video1, with @audio1 as background music, festive New Year atmosphere"
      },
      {
        "type": "image_url",
        "image_url": {"url": "https://example.com/character.jpg"},
        "role": "reference_image"
      },
      {
        "type": "video_url",
        "video_url": {"url": "https://example.com/clip.mp4"},
        "role": "reference_video"
      },
      {
        "type": "audio_url",
        "audio_url": {"url": "https://example.com/bgm.mp3"},
        "role": "reference_audio"
      }
    ],
    "generate_audio": true,
    "ratio": "16:9",
    "duration": 11
  }'
"""  # noqa: E501

VIDEO_EDITING = """
curl https://ai.alad.com/v1/video/generations \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "seedance-2.0",
    "content": [
      {
        "type": "text",
        "text": "Replace the water in @video1 with the perfume from @image1, keep the same camera motion"
      },
      {
        "type": "image_url",
        "image_url": {"url": "https://example.com/perfume.jpg"},
        "role": "reference_image"
      },
      {
        "type": "video_url",
        "video_url": {"url": "https://example.com/original.mp4"},
        "role": "reference_video"
      }
    ],
    "generate_audio": true,
    "ratio": "16:9",
    "duration": 5
  }'
"""

WEB_SEARCH = """
curl https://ai.alad.com/v1/video/generations \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "seedance-2.0",
    "content": [
      {
        "type": "text",
        "text": "Macro shot of vivid flower petals on a tree, gradually zooming in"
      }
    ],
    "generate_audio": true,
    "ratio": "16:9",
    "duration": 11,
    "tools": [{"type": "web_search"}]
  }'
"""

EXAMPLES = [
    pytest.param(
        ASSET,
        {
            "prompt": "The person in @image1 walks down a sunny street, cinematic quality",
            "reference_images": ["asset://asset-20260427160000-xxxxx"],
            "resolution": "720p",
            "duration": 5,
        },
        id="asset",
    ),
    pytest.param(
        TEXT_TO_VIDEO,
        {"prompt": "A cat playing piano in a sunlit room, cinematic lighting", "ratio": "16:9", "duration": 8},
        id="text-to-video",
    ),
    pytest.param(
        MULTIMODAL_REFERENCE,
        {
            "prompt": "The character from @image1 dances in the scene from @video1, with @audio1 as background music, "
            "festive New Year atmosphere",
            "reference_images": ["https://example.com/character.jpg"],
            "reference_videos": ["https://example.com/clip.mp4"],
            "reference_audios": ["https://example.com/bgm.mp3"],
            "ratio": "16:9",
            "duration": 11,
        },
        id="multimodal-reference",
    ),
    pytest.param(
        VIDEO_EDITING,
        {
            "prompt": "Replace the water in @video1 with the perfume from @image1, keep the same camera motion",
            "reference_images": ["https://example.com/perfume.jpg"],
            "reference_videos": ["https://example.com/original.mp4"],
            "ratio": "16:9",
            "duration": 5,
        },
        id="video-editing",
    ),
    pytest.param(
        WEB_SEARCH,
        {
            "prompt": "Macro shot of vivid flower petals on a tree, gradually zooming in",
            "ratio": "16:9",
            "duration": 11,
            "web_search": True,
        },
        id="web-search",
    ),
]


def body_of(curl: str) -> dict[str, Any]:
    """Read the JSON out of a curl command as the page prints it."""
    body: dict[str, Any] = json.loads(curl.partition("-d '")[2].rpartition("'")[0])
    return body


@pytest.mark.parametrize(("curl", "arguments"), EXAMPLES)
def test_request_is_the_pages_json_plus_documented_defaults(curl: str, arguments: dict[str, Any]) -> None:
    shown = body_of(curl)
    sent = GenerationRequest(**arguments).to_json()

    assert {name: sent.get(name) for name in shown} == shown
    beyond = {name: value for name, value in sent.items() if name not in shown}
    assert beyond == {name: DOCUMENTED_DEFAULTS[name] for name in beyond}


@pytest.mark.parametrize(("curl", "arguments"), EXAMPLES)
def test_request_keeps_the_pages_key_order(curl: str, arguments: dict[str, Any]) -> None:
    shown = body_of(curl)
    sent = GenerationRequest(**arguments).to_json()

    assert [name for name in sent if name in shown] == list(shown)
    assert [list(item) for item in sent["content"]] == [list(item) for item in shown["content"]]


@pytest.mark.parametrize(("curl", "arguments"), EXAMPLES)
def test_pages_content_is_taken_raw_too(curl: str, arguments: dict[str, Any]) -> None:
    shown = body_of(curl)

    request = GenerationRequest(content=shown["content"])

    assert request.to_json()["content"] == shown["content"]
    assert request.mode == GenerationRequest(**arguments).mode


@pytest.mark.parametrize(("curl", "arguments"), EXAMPLES)
def test_pages_examples_raise_no_warning(curl: str, arguments: dict[str, Any]) -> None:
    assert GenerationRequest(**arguments).warnings == ()
