"""The base of every statement that crosses the wire: frozen, closed, strictly typed."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails

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
            found = unlike(error)
            where = f"{cls.__name__}.{found.where}".rstrip(".")
            raise BadInput(found.what, where=where, instead=found.instead) from None

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


def unlike(error: ValidationError) -> BadInput:
    """The first field that a fact does not take, in words: where, why, and what to write instead.

    Guarantee: a function of the field's place and its declared limits, never of its value.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    what, instead = _in_words(first)
    return BadInput(what, where=".".join(map(str, first["loc"])), instead=instead)


def _in_words(first: ErrorDetails) -> tuple[str, str]:
    limits = first.get("ctx", {})
    match first["type"]:
        case "literal_error" | "enum":
            return "none of the words that are known here", f"write {limits['expected']}"
        case "greater_than_equal":
            return f"less than {limits['ge']}", f"write {limits['ge']} or more"
        case "greater_than":
            return f"not above {limits['gt']}", f"write more than {limits['gt']}"
        case "less_than_equal":
            return f"more than {limits['le']}", f"write {limits['le']} or less"
        case "less_than":
            return f"not below {limits['lt']}", f"write less than {limits['lt']}"
        case "too_short":
            return f"fewer than {limits['min_length']} of them", "write more"
        case "too_long":
            return f"more than {limits['max_length']} of them", "write fewer"
        case "missing":
            return "missing", "write it"
        case "extra_forbidden":
            return "not known here", "leave it out"
        case kind:
            return _WRONG_KIND.get(kind, first["msg"].removeprefix(_OURS)), ""


_WRONG_KIND = {
    "string_type": "not a text",
    "int_type": "not a whole number",
    "bool_type": "neither true nor false",
    "tuple_type": "not a list",
    "list_type": "not a list",
    "dict_type": "not an object",
    "model_type": "not an object",
    "model_attributes_type": "not an object",
}
