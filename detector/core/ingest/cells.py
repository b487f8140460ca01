"""A cell that is not a number costs one cell, never its row: what becomes of it."""

import re
from typing import Any

from detector.core.ingest.fields import FLOAT32_MAX
from schemas.feed import CellFault

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_LONGEST_NUMBER = 64  # signs of a text that is looked at as a number


def read_cell(value: Any) -> tuple[float | None, CellFault | None]:
    """A cell's number, None where it is missing, and what was wrong with it; null is missing, and no fault.

    >>> read_cell(2), read_cell(None), read_cell("Bad")
    ((2.0, None), (None, None), (None, <CellFault.TEXT: 'text'>))
    >>> read_cell(" 1.5 "), read_cell("9,123.4")
    ((1.5, <CellFault.NUMBER_AS_TEXT: 'number_as_text'>), (None, <CellFault.TEXT: 'text'>))
    """
    if value is None:
        return None, None
    if isinstance(value, bool):
        return None, CellFault.BOOLEAN
    if isinstance(value, str):
        return _read_text(value)
    if not isinstance(value, int | float):
        return None, CellFault.NESTED
    return (float(value), None) if abs(value) <= FLOAT32_MAX else (None, CellFault.NOT_FINITE)  # not so for NaN


def _read_text(text: str) -> tuple[float | None, CellFault]:
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None, CellFault.TEXT
    number = float(text)
    return (number, CellFault.NUMBER_AS_TEXT) if abs(number) <= FLOAT32_MAX else (None, CellFault.NOT_FINITE)
