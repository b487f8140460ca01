"""What every contract shares: strictness, and how a version is written and refused."""

import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator, model_validator


def _utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the moment lies outside the years 1 to 9999 in UTC") from None


# A point in time in UTC, so that any two can be compared; one that names no zone is taken as UTC, as in the feed.
Moment = typing.Annotated[datetime, AfterValidator(_utc)]


class Contract(BaseModel):
    """A message or file that crosses a boundary: unknown keys are errors, values are not coerced in place.

    Every top-level contract carries `version`; a reader refuses a version it does not know instead of guessing.
    A key that got another name is still read under its old one: `renamed` says which.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    renamed: ClassVar[Mapping[str, str]] = {}  # old key -> the key that took its place

    @model_validator(mode="before")
    @classmethod
    def _read_old_keys(cls, given: Any) -> Any:
        if not cls.renamed or not isinstance(given, dict):
            return given
        for old, new in cls.renamed.items():
            if old in given and new in given:
                raise ValueError(f"{old} is the old name of {new}: keep one of them")
        return {cls.renamed.get(key, key): value for key, value in given.items()}

    @field_validator("version", mode="before", check_fields=False)
    @classmethod
    def _known_version(cls, given: object) -> object:
        """Says so plainly when a newer watchkeeper wrote this; the Literal of the field refuses the rest."""
        newest = max(typing.get_args(cls.model_fields["version"].annotation))
        if isinstance(given, int) and given > newest:
            raise ValueError(f"version {given} is newer than this watchkeeper reads ({newest}); upgrade watchkeeper")
        return given
