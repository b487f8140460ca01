"""What every contract shares: strictness, and how a version is written and refused."""

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """A message or file that crosses a boundary: unknown keys are errors, values are not coerced in place.

    Every top-level contract carries `version`; a reader refuses a version it does not know instead of guessing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())
