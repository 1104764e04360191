from __future__ import annotations

import pytest

from airflow_provider_seedance.hooks.failures import without_userinfo


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://proxy.internal:3128", "http://proxy.internal:3128"),
        ("http://user:hunter2@proxy:3128/x?y=z", "http://proxy:3128"),
        ("http://user:hun/ter2@proxy:3128", "http://proxy:3128"),
        ("http://user:h@n#ter2@proxy", "http://proxy"),
        ("user:hunter2@proxy:3128", "proxy:3128"),
        ("", ""),
    ],
)
def test_address_is_shown_without_user_and_password(address: str, name: str) -> None:
    assert without_userinfo(address) == name
