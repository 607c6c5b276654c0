"""A cohort as conditions in a row, for forms: what a person chooses, and the text it stands for.

A condition is a column, a comparison and its values; whatever the text says beyond that is kept as
text. The order is that of writing, in which attrition counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from models.cohort.expression import (
    And,
    Between,
    Compare,
    Expression,
    Leaf,
    Missing,
    Not,
    OneOf,
    Op,
    Value,
)
from models.cohort.parse import parse_cohort
from models.cohort.steps import steps_of
from models.cohort.text import name_text, quoted, value_text
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_TWO = re.compile(r"\s+(?:and|to)\s+|\s*[,;–]\s*")
_COMMA = re.compile(r"\s*,\s*")


class Sign(StrEnum):
    IS = "=="
    IS_NOT = "!="
    ONE_OF = "in"
    NONE_OF = "not in"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    BETWEEN = "between"
    KNOWN = "is not missing"
    MISSING = "is missing"


ORDERED = (Sign.LESS, Sign.AT_MOST, Sign.MORE, Sign.AT_LEAST, Sign.BETWEEN)
ALONE = (Sign.KNOWN, Sign.MISSING)


@dataclass(frozen=True)
class Condition:
    """`column` (its full name) compared with values as they are typed."""

    column: str
    sign: Sign = Sign.IS
    values: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to choose."""
        return bool(self.values) or self.sign in ALONE


@dataclass(frozen=True)
class Written:
    """What no single comparison says, as text of the grammar."""

    text: str


def conditions_of(text: str, dictionary: Dictionary) -> tuple[Condition | Written, ...]:
    """The conditions of a cohort that are joined by `and`, in the order written; raises BadInput
    for a text that is none."""
    parse_cohort(text, dictionary)
    return tuple(_condition(step, dictionary) for step in steps_of(text))


def text_of(condition: Condition | Written, dictionary: Dictionary) -> str:
    """The condition in the grammar; raises BadInput for values that do not fit the column."""
    if isinstance(condition, Written):
        made = condition.text
        whole = len(steps_of(made)) == 1 and isinstance(parse_cohort(made, dictionary), Leaf | Not)
        return made if whole else f"({made})"
    ref = dictionary.resolve(condition.column)
    made = f"{name_text(ref)} {condition.sign.value}{_values(condition, ref)}"
    parse_cohort(made, dictionary)
    return made


def cohort_of(conditions: Iterable[Condition | Written], dictionary: Dictionary) -> str:
    """All of the conditions as one text; raises BadInput."""
    found = list(conditions)
    if len(found) == 1 and isinstance(found[0], Written):
        return found[0].text
    return " and ".join(text_of(each, dictionary) for each in found)


def _condition(step: str, dictionary: Dictionary) -> Condition | Written:
    found = _read(parse_cohort(step, dictionary))
    if found is None or found[0].name not in dictionary.refs:
        return Written(step)
    ref, sign, values = found
    return Condition(ref.name, sign, tuple(_typed(ref, value) for value in values))


def _read(tree: Expression) -> tuple[ColumnRef, Sign, tuple[Value, ...]] | None:
    match tree:
        case Compare(column, op, value):
            return column, Sign(op.value), (value,)
        case Between(column, lower, upper):
            return column, Sign.BETWEEN, (lower, upper)
        case And(  # as it is sorted by text
            (Compare(column, Op.LE, upper), Compare(other, Op.GE, lower))
        ) if column == other:
            return column, Sign.BETWEEN, (lower, upper)
        case OneOf(column, values, negated):
            return column, Sign.NONE_OF if negated else Sign.ONE_OF, values
        case Missing(column):
            return column, Sign.MISSING, ()
        case Not(Missing(column)):
            return column, Sign.KNOWN, ()
        case _:
            return None


def _typed(ref: ColumnRef, value: Value) -> str:
    return value if isinstance(value, str) else value_text(ref, value).strip("'")


def _values(condition: Condition, ref: ColumnRef) -> str:
    match condition.sign:
        case Sign.KNOWN | Sign.MISSING:
            return ""
        case Sign.BETWEEN:
            ends = _parted(condition.values, _TWO)
            if len(ends) != 2:
                raise BadInput("between takes two values", instead="write 18 and 65")
            return f" {_literal(ref, ends[0])} and {_literal(ref, ends[1])}"
        case Sign.ONE_OF | Sign.NONE_OF:
            known = condition.values[:1] and condition.values[0] in ref.column.levels
            listed = condition.values if known else _parted(condition.values, _COMMA)
            return f" [{', '.join(_literal(ref, each) for each in listed)}]"
        case _:
            if len(condition.values) != 1:
                raise BadInput("takes one value", instead="choose one, or compare with one of")
            return f" {_literal(ref, condition.values[0])}"


def _parted(values: tuple[str, ...], at: re.Pattern[str]) -> list[str]:
    texts = at.split(values[0].strip()) if len(values) == 1 else list(values)
    return [text for text in texts if text]


def _literal(ref: ColumnRef, typed: str) -> str:
    text = typed.strip()
    match ref.column.type:
        case ColumnType.INTEGER | ColumnType.NUMBER:
            if not _NUMBER.fullmatch(text):
                raise BadInput(f"{text!r} is no number", instead="write one, like 18 or 0.5")
            return text
        case ColumnType.BOOLEAN:
            if text not in ("true", "false"):
                raise BadInput(f"{text!r} is neither true nor false")
            return text
        case ColumnType.CATEGORICAL | ColumnType.DATE | ColumnType.TEXT:
            return quoted(text)
        case _:
            assert_never(ref.column.type)
