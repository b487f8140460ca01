"""A document beside its contract: every key with the section it stands in, before anything is validated."""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.base import Contract


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a document, as it is written there."""

    name: Any  # YAML lets a key be a number or a date
    path: tuple[str, ...]  # of the section around it
    contract: type[Contract]  # of the section around it

    @property
    def dotted(self) -> str:
        """The key's whole name."""
        return ".".join((*self.path, str(self.name)))

    @property
    def today(self) -> Any:
        """The name that the key has today."""
        return self.contract.renamed.get(self.name, self.name)

    @property
    def is_known(self) -> bool:
        """Whether the contract has the key, under this name or the one of today."""
        return self.today in self.contract.model_fields


def keys(document: Any, contract: Any, path: tuple[str, ...] = ()) -> Iterator[Key]:
    """Every key of a document's sections, depth first; what stands below an unknown key is left out.

    contract: the class, or the annotation of a field: X | None, tuple[X, ...], dict[str, X].
    """
    section = _section(contract)
    if isinstance(document, dict) and section is not None:
        for name, inner in document.items():
            key = Key(name, path, section)
            yield key
            if key.is_known:
                yield from keys(inner, section.model_fields[key.today].annotation, (*path, str(name)))
    elif isinstance(document, dict | list):
        element = _element(contract)
        pairs = document.items() if isinstance(document, dict) else enumerate(document)
        for name, inner in pairs:
            yield from keys(inner, element, (*path, str(name)))


def renamed_keys(document: Any, contract: type[Contract]) -> Iterator[Key]:
    """The keys that a document writes under the name of before."""
    return (key for key in keys(document, contract) if key.today != key.name)


def _section(annotation: Any) -> type[Contract] | None:
    if isinstance(annotation, type) and issubclass(annotation, Contract):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(filter(None, map(_section, typing.get_args(annotation))), None)
    return None


def _element(annotation: Any) -> Any:
    """The type inside tuple[X, ...], dict[str, X] or an optional of them; None where there is none."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(filter(None, map(_element, typing.get_args(annotation))), None)
    arguments = typing.get_args(annotation)
    return {tuple: lambda: arguments[0], dict: lambda: arguments[1]}.get(typing.get_origin(annotation), lambda: None)()
