"""The base of every statement that crosses the wire: frozen, closed, strictly typed."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from privacy.contract.canonical import canonical_bytes, sha256_hex
from privacy.errors import BadInput

_OURS = "Value error, "  # before what a validator of ours says


class Fact(BaseModel):
    """A frozen record. Unknown fields, wrong types and missing fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, ready for `canonical_bytes`."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read `to_json`'s form; raises BadInput naming the field, never its value."""
        try:
            return cls.model_validate_json(canonical_bytes(value))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            said = first["msg"].removeprefix(_OURS)
            raise BadInput(said, where=f"{cls.__name__}.{where}".rstrip(".")) from None

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the canonical bytes."""
        return sha256_hex(canonical_bytes(self.to_json()))


class Sorted(Fact):
    """A Fact that keeps its fields in the order of their names, as canonical JSON has them.

    Where each Fact inside one is Sorted too, and nothing in it is a mapping or a float, what
    pydantic writes of it is canonical, several times faster than by `canonical_bytes`. For
    what is written and read by the million: the entries of ledgers.
    """

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = handler(source)
        inner: Any = schema
        while inner["type"] != "model-fields":  # within the model, and checks of the whole
            inner = inner["schema"]
        inner["fields"] = dict(sorted(inner["fields"].items()))
        return schema
