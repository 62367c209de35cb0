"""What every part of the fleet file is made of: names, numbers, and mappings without unknown keys."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Public names may be hub-like (`org/name`) and are path segments too, so none is empty or `..`;
# variants and nodes become labels and DNS names.
PUBLIC_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
PublicName = Annotated[str, Field(pattern=PUBLIC_NAME, max_length=95)]
Name = Annotated[str, Field(pattern=NAME)]

# Strict: YAML reads `yes` as true, which would silently count as 1.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
