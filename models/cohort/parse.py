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
               | "any" "(" … ")"                     a figure that is true or false
    name      := column | table.column               `in backquotes` where it has other signs
               | figure                              see `models.figures.parse`
    value     := number | 'level' | '2024-12-31' | true | false
"""

from __future__ import annotations

from models.cohort.conditions import Conditions
from models.cohort.cursor import MAX_DEPTH, Cursor
from models.cohort.expression import Everyone, Expression
from models.cohort.text import canonical_text
from models.cohort.tokens import MAX_CHARACTERS, Kind, Token, refuse
from models.figures.parse import FigureParser
from models.figures.walk import size_of
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

__all__ = ["MAX_DEPTH", "MAX_NODES", "parse_cohort"]

MAX_NODES = 200


def parse_cohort(text: str, dictionary: Dictionary) -> Expression:
    """Read a cohort; empty text is everyone.

    Guarantee: the tree is normal, names declared columns that are neither identifier nor free
    text and values that fit them, and `parse_cohort(canonical_text(tree))` is the tree.
    Raises BadInput that names the position and what to write instead, also beyond 4,000
    characters (as written and in canonical form), 50 levels of nesting or 200 nodes.
    """
    cursor = Cursor(text)
    conditions = Conditions(cursor, FigureParser(cursor, dictionary).column)
    tree: Expression = Everyone() if cursor.at_end() else conditions.any_of()
    if not cursor.at_end():
        raise _not_joined(cursor.next)
    if size_of(tree) > MAX_NODES:
        raise refuse(f"more than {MAX_NODES} conditions", 1, "ask a simpler question")
    if len(canonical_text(tree)) > MAX_CHARACTERS:
        raise refuse(
            f"longer than {MAX_CHARACTERS} characters once names are written in full",
            1,
            "ask a shorter question",
        )
    return tree


def _not_joined(token: Token) -> BadInput:
    instead = "join conditions with and / or"
    if token.kind is Kind.SIGN and token.text in ("<", "<=", ">", ">=", "==", "!="):
        instead = "write between 18 and 65, or two conditions joined with and"
    return refuse(f"{token.text!r} is not expected here", token.position, instead)
