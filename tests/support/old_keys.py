"""Keys of contracts that have another name today, and are still read."""

from collections.abc import Iterator
from typing import Any

from schemas.base import Contract
from schemas.catalog import CATALOG


def _contracts(base: type[Contract] = Contract) -> Iterator[type[Contract]]:
    for contract in base.__subclasses__():
        yield contract
        yield from _contracts(contract)


assert CATALOG  # it imports every contract
OLD_KEYS = {old: new for contract in _contracts() for old, new in contract.renamed.items()}


def with_new_keys(document: Any) -> Any:
    """A document as it would be written today: old keys under their new names, values as they are."""
    if isinstance(document, dict):
        return {OLD_KEYS.get(key, key): with_new_keys(value) for key, value in document.items()}
    if isinstance(document, list):
        return [with_new_keys(value) for value in document]
    return document
