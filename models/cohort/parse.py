"""The cohort grammar, closed and checked against the dictionary. Nothing written is ever run.

In full:

    cohort    := nothing | or
    or        := and ("or" and)*
    and       := unary ("and" unary)*
    unary     := "not" unary | "(" or ")" | condition
    condition := name sign value                     sign: == != < <= > >=
               | name ["not"] "in" "[" value ("," value)* "]"
               | name "between" value "and" value
               | name "is" ["not"] "missing"
    name      := column | table.column               `in backquotes` where it has other signs
    value     := number | 'level' | '2024-12-31' | true | false
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from models.cohort.expression import (
    And,
    Between,
    Compare,
    Everyone,
    Expression,
    Missing,
    Not,
    OneOf,
    Op,
    Or,
    Value,
)
from models.cohort.normal import between, conjunction, disjunction, negation, one_of
from models.cohort.text import canonical_text, name_text, quoted
from models.cohort.tokens import MAX_CHARACTERS, Kind, Token, refuse, tokens_of
from models.cohort.values import check_ascending, value_of
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

MAX_DEPTH = 50
MAX_NODES = 200
_VALUES = (Kind.NUMBER, Kind.STRING)


def parse_cohort(text: str, dictionary: Dictionary) -> Expression:
    """Read a cohort; empty text is everyone.

    Guarantee: the tree is normal, names declared columns that are neither identifier nor free
    text and values that fit them, and `parse_cohort(canonical_text(tree))` is the tree.
    Raises BadInput that names the position and what to write instead, also beyond 4,000
    characters (as written and in canonical form), 50 levels of nesting or 200 nodes.
    """
    parser = _Parser(tokens_of(text), dictionary)
    tree = parser.cohort()
    if _nodes(tree) > MAX_NODES:
        raise refuse(f"more than {MAX_NODES} conditions", 1, "ask a simpler question")
    if len(canonical_text(tree)) > MAX_CHARACTERS:
        raise refuse(
            f"longer than {MAX_CHARACTERS} characters once names are written in full",
            1,
            "ask a shorter question",
        )
    return tree


def _nodes(tree: Expression) -> int:
    match tree:
        case Everyone() | Compare() | Between() | OneOf() | Missing():
            return 1
        case Not(operand):
            return 1 + _nodes(operand)
        case And(operands) | Or(operands):
            return 1 + sum(map(_nodes, operands))
        case _:
            assert_never(tree)


class _Parser:
    """Recursive descent; `depth` bounds the recursion."""

    def __init__(self, tokens: Iterator[Token], dictionary: Dictionary) -> None:
        self._tokens = tokens
        self._next = next(tokens)
        self._dictionary = dictionary
        self._depth = 0

    def cohort(self) -> Expression:
        tree: Expression = Everyone() if self._at_end() else self._or()
        if not self._at_end():
            raise _not_joined(self._next)
        return tree

    def _or(self) -> Expression:
        operands = [self._and()]
        while self._take("or"):
            operands.append(self._and())
        return disjunction(operands)

    def _and(self) -> Expression:
        operands = [self._unary()]
        while self._take("and"):
            operands.append(self._unary())
        return conjunction(operands)

    def _unary(self) -> Expression:
        opened = self._next
        if opened.text not in ("not", "(") or opened.kind not in (Kind.WORD, Kind.SIGN):
            return self._condition()
        self._advance()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refuse(f"nested deeper than {MAX_DEPTH}", opened.position, "use fewer brackets")
        if opened.text == "not":
            tree = negation(self._unary())
        else:
            tree = self._or()
            self._expect(")", f"close the bracket opened at position {opened.position}")
        self._depth -= 1
        return tree

    def _condition(self) -> Expression:
        named = self._advance()
        if named.kind is not Kind.NAME:
            raise _no_name(named)
        if self._sees(Kind.SIGN, "("):
            raise refuse(
                "a function call is not part of the grammar",
                self._next.position,
                "compare a column with a value: age >= 18",
            )
        column = self._column(named)
        sign = self._advance()
        match sign.kind, sign.text:
            case Kind.SIGN, "==" | "!=" | "<" | "<=" | ">" | ">=":
                return self._comparison(column, sign)
            case Kind.WORD, "in":
                return one_of(column, self._list(column))
            case Kind.WORD, "not":
                self._expect("in", f"write not ({name_text(column)} …) or not in […]")
                return one_of(column, self._list(column), negated=True)
            case Kind.WORD, "between":
                return self._between(column, sign)
            case Kind.WORD, "is":
                return self._is(column)
            case _:
                raise _no_comparison(column, sign)

    def _column(self, token: Token) -> ColumnRef:
        try:
            column = self._dictionary.resolve(token.text)
        except BadInput as error:
            raise refuse(error.what, token.position, error.instead) from None
        if column.column.type is ColumnType.TEXT:
            raise refuse(
                f"{column.name} is free text", token.position, "use a column with declared levels"
            )
        return column

    def _comparison(self, column: ColumnRef, sign: Token) -> Expression:
        op = Op(sign.text)
        if column.column.levels and op not in (Op.EQ, Op.NE):
            raise refuse(
                f"the levels of {column.name} have no order", sign.position, "write == or in […]"
            )
        return Compare(column, op, self._value(column))

    def _between(self, column: ColumnRef, sign: Token) -> Expression:
        if column.column.levels:
            raise refuse(
                f"the levels of {column.name} have no order", sign.position, "write in […]"
            )
        lower = self._value(column)
        self._expect("and", "write between 18 and 65")
        position = self._next.position
        upper = self._value(column)
        check_ascending(lower, upper, position)
        return between(column, lower, upper)

    def _is(self, column: ColumnRef) -> Expression:
        negated = self._take("not")
        self._expect("missing", "write is missing or is not missing")
        return Not(Missing(column)) if negated else Missing(column)

    def _list(self, column: ColumnRef) -> list[Value]:
        self._expect("[", "write a list in square brackets: in ['a', 'b']")
        values = [self._value(column)]
        while self._take(","):
            values.append(self._value(column))
        self._expect("]", "close the list with ]")
        return values

    def _value(self, column: ColumnRef) -> Value:
        token = self._advance()
        if token.kind in _VALUES or (token.kind is Kind.WORD and token.text in ("true", "false")):
            return value_of(token, column)
        if token.kind is Kind.NAME:
            raise _name_as_value(token, column)
        raise refuse(f"a value is missing after {name_text(column)}", token.position, "write one")

    def _advance(self) -> Token:
        token = self._next
        if token.kind is not Kind.END:
            self._next = next(self._tokens)
        return token

    def _at_end(self) -> bool:
        return self._next.kind is Kind.END

    def _sees(self, kind: Kind, text: str) -> bool:
        return self._next.kind is kind and self._next.text == text

    def _take(self, text: str) -> bool:
        taken = self._sees(Kind.WORD, text) or self._sees(Kind.SIGN, text)
        if taken:
            self._advance()
        return taken

    def _expect(self, text: str, instead: str) -> None:
        if not self._take(text):
            found = self._next.text or "the end"
            raise refuse(f"{text!r} expected, not {found!r}", self._next.position, instead)


def _not_joined(token: Token) -> BadInput:
    instead = "join conditions with and / or"
    if token.kind is Kind.SIGN and token.text in ("<", "<=", ">", ">=", "==", "!="):
        instead = "write between 18 and 65, or two conditions joined with and"
    return refuse(f"{token.text!r} is not expected here", token.position, instead)


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
