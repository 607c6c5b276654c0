"""Conditions joined by and, or, not: the part of the grammar that members and rows share."""

from __future__ import annotations

from collections.abc import Callable

from models.cohort.cursor import Cursor
from models.cohort.expression import Between, Compare, Expression, Missing, Not, OneOf, Op, Value
from models.cohort.normal import between, compare, conjunction, disjunction, negation, one_of
from models.cohort.text import name_text, quoted
from models.cohort.tokens import Kind, Token, refuse
from models.cohort.values import check_ascending, value_of
from models.figures.types import Ever, FigureColumn
from privacy.contract.dictionary import ColumnRef, ColumnType
from privacy.errors import BadInput

_VALUES = (Kind.NUMBER, Kind.STRING)
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


class Conditions:
    """Recursive descent. `resolve` says which column a name begins with; it may read on."""

    def __init__(self, cursor: Cursor, resolve: Callable[[Token], ColumnRef]) -> None:
        self._cursor = cursor
        self._resolve = resolve

    def any_of(self) -> Expression:
        operands = [self._all_of()]
        while self._cursor.take("or"):
            operands.append(self._all_of())
        return disjunction(operands)

    def _all_of(self) -> Expression:
        operands = [self._unary()]
        while self._cursor.take("and"):
            operands.append(self._unary())
        return conjunction(operands)

    def _unary(self) -> Expression:
        opened = self._cursor.next
        if not self._cursor.sees("not", "("):
            return self._condition()
        self._cursor.advance()
        with self._cursor.nested(opened):
            if opened.text == "not":
                return negation(self._unary())
            tree = self.any_of()
            self._cursor.expect(")", f"close the bracket opened at position {opened.position}")
        return tree

    def _condition(self) -> Expression:
        named = self._cursor.advance()
        if named.kind is not Kind.NAME:
            raise _no_name(named)
        column = self._resolve(named)
        cursor = self._cursor
        if _is_yes_or_no(column) and not cursor.sees(*_COMPARISONS, "in", "not", "is"):
            return compare(column, Op.EQ, "true")
        if cursor.take("is"):
            return self._is(column)
        if cursor.sees("between"):
            return between(column, *self._ends(column))
        return self._comparison(column)

    def test(self, column: ColumnRef) -> Compare | Between | OneOf:
        """What follows the column of a share: one comparison."""
        if self._cursor.sees("between"):
            return Between(column, *self._ends(column))
        return self._comparison(column)

    def _comparison(self, column: ColumnRef) -> Compare | OneOf:
        sign = self._cursor.advance()
        match sign.kind, sign.text:
            case Kind.SIGN, "==" | "!=" | "<" | "<=" | ">" | ">=":
                return self._compared(column, sign)
            case Kind.WORD, "in":
                return one_of(column, self._list(column))
            case Kind.WORD, "not":
                self._cursor.expect("in", f"write not ({name_text(column)} …) or not in […]")
                return one_of(column, self._list(column), negated=True)
            case _:
                raise _no_comparison(column, sign)

    def _compared(self, column: ColumnRef, sign: Token) -> Compare:
        op = Op(sign.text)
        if column.column.levels and op not in (Op.EQ, Op.NE):
            raise refuse(
                f"the levels of {column.name} have no order", sign.position, "write == or in […]"
            )
        return compare(column, op, self._value(column))

    def _ends(self, column: ColumnRef) -> tuple[Value, Value]:
        """`between` and its two ends."""
        sign = self._cursor.advance()
        if column.column.levels:
            raise refuse(
                f"the levels of {column.name} have no order", sign.position, "write in […]"
            )
        lower = self._value(column)
        self._cursor.expect("and", "write between 18 and 65")
        position = self._cursor.next.position
        upper = self._value(column)
        check_ascending(lower, upper, position)
        return lower, upper

    def _is(self, column: ColumnRef) -> Expression:
        negated = self._cursor.take("not")
        self._cursor.expect("missing", "write is missing or is not missing")
        return Not(Missing(column)) if negated else Missing(column)

    def _list(self, column: ColumnRef) -> list[Value]:
        self._cursor.expect("[", "write a list in square brackets: in ['a', 'b']")
        values = [self._value(column)]
        while self._cursor.take(","):
            values.append(self._value(column))
        self._cursor.expect("]", "close the list with ]")
        return values

    def _value(self, column: ColumnRef) -> Value:
        token = self._cursor.advance()
        if token.kind in _VALUES or (token.kind is Kind.WORD and token.text in ("true", "false")):
            return value_of(token, column)
        if token.kind is Kind.NAME:
            raise _name_as_value(token, column)
        raise refuse(f"a value is missing after {name_text(column)}", token.position, "write one")


def _is_yes_or_no(column: ColumnRef) -> bool:
    return isinstance(column, FigureColumn) and isinstance(column.figure, Ever)


def _no_name(token: Token) -> BadInput:
    if token.kind is Kind.END:
        return refuse("the text ends too early", token.position, "write a condition: age >= 18")
    return refuse(
        f"{token.text!r} stands where a column is expected",
        token.position,
        "begin with the column: age >= 18",
    )


def _no_comparison(column: ColumnRef, token: Token) -> BadInput:
    name = name_text(column)
    if column.column.type is ColumnType.BOOLEAN:
        instead = f"write {name} == true"
    else:
        instead = f"write {name} followed by == != < <= > >= in, between or is missing"
    found = repr(token.text) if token.text else "the end"
    return refuse(f"a comparison is expected, not {found}", token.position, instead)


def _name_as_value(token: Token, column: ColumnRef) -> BadInput:
    if token.text.casefold() in ("null", "none", "na", "nan"):
        instead = f"write {name_text(column)} is missing"
    elif token.text in column.column.levels:
        instead = f"write {quoted(token.text)}"
    else:
        instead = "write a value: a level in quotes, or a number"
    return refuse(f"{token.text!r} is a name, not a value", token.position, instead)
