"""What Airflow reads of this provider at start-up. Imports nothing but the standard library."""

from __future__ import annotations

from typing import Any

from airflow_provider_seedance import __version__

_PACKAGE = "airflow_provider_seedance"
_INTEGRATION = "Seedance"


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
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.hooks.seedance"]}],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [f"{_PACKAGE}.operators.video", f"{_PACKAGE}.operators.assets"],
            }
        ],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [f"{_PACKAGE}.sensors.generation", f"{_PACKAGE}.sensors.asset"],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [f"{_PACKAGE}.triggers.generation", f"{_PACKAGE}.triggers.asset"],
            }
        ],
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
                    }
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
                    "model": {
                        "label": "Default model",
                        "schema": {"type": ["string", "null"]},
                        "description": "Used if an operator names no model. Default: seedance-2.0.",
                    },
                    "timeout": {
                        "label": "Timeout",
                        "schema": {"type": ["string", "null"]},
                        "description": "Seconds for an ordinary call. Default: 60.",
                    },
                    "submit_timeout": {
                        "label": "Submit timeout",
                        "schema": {"type": ["string", "null"]},
                        "description": "Seconds for the paid call that creates a generation, which the "
                        "gateway can hold for minutes. Default: 300.",
                    },
                    "verify": {
                        "label": "Verify TLS",
                        "schema": {"type": ["string", "null"]},
                        "description": "true, false, or the path of a CA bundle. Default: true.",
                    },
                    "proxy": {
                        "label": "Proxy",
                        "schema": {"type": ["string", "null"]},
                        "description": "Address of an HTTP proxy, such as http://proxy.internal:3128. "
                        "Default: the environment's, such as HTTPS_PROXY.",
                    },
                },
            }
        ],
    }
