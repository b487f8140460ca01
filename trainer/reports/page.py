"""What all pages share: a template that fetches nothing and runs no script, and pictures that speak.

The base template holds the looks, for light and dark, for a phone and a desk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True, slots=True)
class Picture:
    """An inline image and what it says, for those who cannot see it."""

    uri: str
    text: str


def render(template: str, values: Mapping[str, Any]) -> bytes:
    """The page of that template, UTF-8 HTML. Text becomes no markup."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=PackageLoader("trainer.reports"),
    )
    return environment.get_template(template).render(values).encode("utf-8")
