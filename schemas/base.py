"""What every contract shares: strictness, and how a version is written and refused."""

import typing

from pydantic import BaseModel, ConfigDict, field_validator


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
