"""What Airflow reads of this provider at start-up. Imports nothing but the standard library."""

from __future__ import annotations

from typing import Any

from airflow_provider_seedance import __version__

_PACKAGE = "airflow_provider_seedance"
_INTEGRATION = "Seedance"


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.{name}" for name in names]}]


def _size(kind: str, default: int) -> dict[str, Any]:
    return {
        "description": f"Bytes of the largest {kind} that is downloaded; a larger one fails the task.\n",
        "version_added": "0.1.0",
        "type": "integer",
        "example": None,
        "default": str(default),
    }


def _field(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "schema": {"type": ["string", "null"]}, "description": description}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, after Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-seedance",
        "name": "Seedance",
        "description": "Seedance 2.0 video generation through the Starrise AI API.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://doc.starrise.tech/en/guides/model-api/bytedance/seedance-2-0",
                "tags": ["ai"],
            }
        ],
        "hooks": _modules("hooks.seedance"),
        "operators": _modules("operators.video", "operators.assets"),
        "sensors": _modules("sensors.generation", "sensors.asset"),
        "triggers": _modules("triggers.generation", "triggers.asset"),
        "transfers": [
            {
                "source-integration-name": _INTEGRATION,
                "target-integration-name": "Object Storage",
                "python-module": f"{_PACKAGE}.transfers.seedance_to_object_storage",
            }
        ],
        "extra-links": [f"{_PACKAGE}.links.SeedanceVideoLink"],
        "config": {
            "seedance": {
                "description": "Settings of the Seedance provider.",
                "options": {
                    "lineage_prompt": {
                        "description": "Put the text of prompts into OpenLineage events, not their SHA-256 alone.\n",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                    "allowed_media_roots": {
                        "description": (
                            "Folders that media and the sources of assets may be read from, separated by commas; local "
                            "ones, and addresses such as s3://bucket/folder or s3://conn_id@bucket. Whatever is "
                            "outside is refused. Empty: any object storage, and of the worker's own files only those "
                            "in folders that the Dag's code names.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/data/media, s3://team-media",
                        "default": "",
                    },
                    "max_video_bytes": _size("video", 2 * 1024**3),
                    "max_last_frame_bytes": _size("last frame", 64 * 1024**2),
                },
            }
        },
        "filesystems": [f"{_PACKAGE}.fs.seedance"],
        "connection-types": [
            {
                "connection-type": "seedance",
                "hook-class-name": f"{_PACKAGE}.hooks.seedance.SeedanceHook",
                "hook-name": "Seedance (Starrise AI)",
                "ui-field-behaviour": {
                    "hidden-fields": ["login"],
                    "relabeling": {"password": "API Key", "host": "Base URL", "schema": "URL scheme"},
                    "placeholders": {
                        "host": "https://ai.alad.com",
                        "password": "sk-...",
                        "schema": "https, unless the base URL has a scheme",
                        "port": "only if the base URL has none",
                    },
                },
                "conn-fields": {
                    "model": _field("Default model", "Used if an operator names no model. Default: seedance-2.0."),
                    "timeout": _field("Timeout", "Seconds for an ordinary call. Default: 60."),
                    "submit_timeout": _field(
                        "Submit timeout",
                        "Seconds for the paid call that creates a generation, which the gateway can hold for minutes. "
                        "Default: 300.",
                    ),
                    "verify": _field("Verify TLS", "true, false, or the path of a CA bundle. Default: true."),
                    "proxy": _field(
                        "Proxy",
                        "Address of an HTTP proxy, such as http://proxy.internal:3128. "
                        "Default: the environment's, such as HTTPS_PROXY.",
                    ),
                },
            }
        ],
    }
