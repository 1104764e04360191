"""
Keeping rendered values out of Airflow's database.

Airflow stores every rendered template field. A Base64 image or a signed link rendered into one would lie in the
database, and be shown in the UI, long after the run. So such values are wrapped once they are rendered: Airflow stores
their redacted form, and the operator unwraps them when it builds its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_seedance.api.redact import without_secrets
from airflow_provider_seedance.hooks.airflow_compat import given_fields


class Hidden:
    """
    A rendered value that shows itself redacted.

    :param value: The value.
    """

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def serialize(self) -> str:
        """Return what Airflow may store."""
        return without_secrets(self.value)

    def __repr__(self) -> str:
        return self.serialize()


def hide(value: Any) -> Any:
    """Wrap each string that holds a payload, a signature or a key, in lists and dictionaries too."""
    if isinstance(value, str):
        return Hidden(value) if without_secrets(value) != value else value
    if isinstance(value, Mapping):
        return {key: hide(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [hide(member) for member in value]
    return value


def reveal(value: Any) -> Any:
    """Undo :func:`hide`."""
    if isinstance(value, Hidden):
        return value.value
    if isinstance(value, Mapping):
        return {key: reveal(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [reveal(member) for member in value]
    return value


class HidesRenderedFields:
    """Mixed into an operator: hides its template fields once they are rendered, in mapped tasks too."""

    template_fields: Any
    #: Fields that were given a value which then rendered to None.
    rendered_to_nothing: tuple[str, ...] = ()

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Render as Airflow does; the one step that mapped and plain operators share."""
        given = given_fields(self)
        super()._do_render_template_fields(parent, *args, **kwargs)  # type: ignore[misc]
        if parent is self:
            self.rendered_to_nothing = tuple(name for name in given if getattr(self, name) is None)
            for name in self.template_fields:
                setattr(self, name, hide(getattr(self, name)))
