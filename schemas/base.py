"""What every contract shares: strictness, and how a version is written and refused."""

import typing
from datetime import UTC, datetime

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator


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
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    @field_validator("version", mode="before", check_fields=False)
    @classmethod
    def _known_version(cls, given: object) -> object:
        """Says so plainly when a newer watchkeeper wrote this; the Literal of the field refuses the rest."""
        newest = max(typing.get_args(cls.model_fields["version"].annotation))
        if isinstance(given, int) and given > newest:
            raise ValueError(f"version {given} is newer than this watchkeeper reads ({newest}); upgrade watchkeeper")
        return given
