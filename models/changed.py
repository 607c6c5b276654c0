"""A frozen fact with some fields changed, validated anew."""

from __future__ import annotations

from typing import Any, TypeVar

from privacy.contract.facts import Fact

F = TypeVar("F", bound=Fact)


def changed(fact: F, **fields: Any) -> F:
    """A new fact: nothing that was derived from the old one and kept in it comes along."""
    kept = {name: getattr(fact, name) for name in type(fact).model_fields}
    return type(fact)(**{**kept, **fields})
