"""The formula grammar, closed and checked against the dictionary. Nothing written is ever run.

In full:

    formula := [outcome "~"] sum             a right side alone where the outcome is named elsewhere
    outcome := number | column               a column with levels is a class
    sum     := part (("+" | "-") part)*      "-" only before 1
    part    := "0" | "1" | product | "offset(" number ")" | "weights(" number ")"
    product := item ("*" item)*              a*b means a + b + a:b
    item    := factor (":" factor)*
    factor  := number | column | "C(" column [", ref=" 'level'] ")"
             | "bs(" number ["," "df=" whole | "knots=[" numbers "]"] ["," "degree=" whole] ")"
             | "missing(" column ")" | "organisation"
    number  := column | "clip(" column "," from "," to ")" | "log(" number ")" | "log1p(" number ")"

Every number needs declared bounds; `clip` narrows them. A column of one of those names, or with
other signs, is written `in backquotes`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise
from typing import NoReturn

from models.regression.formula_words import Kind, Word, refuse, words_of
from models.regression.spline import even_knots
from models.regression.syntax import (
    Factor,
    Formula,
    Gap,
    Levels,
    Number,
    Outcome,
    Scale,
    Site,
    Spline,
    Term,
)
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

MAX_TERMS = 100
MAX_FACTORS = 4
MAX_KNOTS = 20
MAX_DEGREE = 5
_NARROWEST = 1e-9  # part of the declared range that a clip leaves
_SIZES = (1e-60, 1e60)  # of a declared range, so that its squares are numbers
_NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
_FUNCTIONS = ("C", "bs", "clip", "log", "log1p", "missing", "offset", "weights")
SITE = "organisation"


def parse_formula(text: str, dictionary: Dictionary) -> Formula:
    """Read `outcome ~ terms`, or terms alone (then `outcome` is None).

    Guarantee: every column is declared and neither identifier nor text nor date, every number
    has bounds; `parse_formula(formula_text(tree))` is the tree.
    Raises BadInput that names the position and what to write instead.
    """
    return _Parser(words_of(text), dictionary).formula()


class _Parser:
    """Recursive descent; functions nest at most three deep by the grammar itself."""

    def __init__(self, words: Iterator[Word], dictionary: Dictionary) -> None:
        self._words = words
        self._next = next(words)
        self._dictionary = dictionary
        self._terms: dict[frozenset[Factor], Term] = {}
        self._intercept = True
        self._offset: Number | None = None
        self._weight: Number | None = None

    def formula(self) -> Formula:
        start = self._next
        outcome = self._outcome()
        if outcome is not None or self._next is start:
            minus = self._take("-")
            self._part(minus=minus)
            self._more()
        if self._next.kind is not Kind.END:
            self._unexpected(self._next)
        if len(self._terms) > MAX_TERMS:
            raise refuse(f"more than {MAX_TERMS} terms", 1, "write fewer terms")
        terms = tuple(self._terms.values())
        return Formula(outcome, terms, self._intercept, self._offset, self._weight)

    def _more(self) -> None:
        while self._sees("+") or self._sees("-"):
            minus = self._advance().text == "-"
            self._part(minus=minus)

    def _outcome(self) -> Outcome | None:
        """What stands before `~`. A sum that turns out to have none is read as terms."""
        if self._next.kind is not Kind.NAME:
            return None
        position = self._next.position
        factor = self._product()
        if not self._take("~"):
            self._more()
            return None
        terms, self._terms = list(self._terms.values()), {}
        if factor or self._offset or self._weight or len(terms) != 1 or len(terms[0]) != 1:
            raise refuse("an outcome is one column", position, "write outcome ~ term + term")
        outcome = terms[0][0]
        if not isinstance(outcome, Number | Levels):
            raise refuse("this is no outcome", position, "write the name of a column")
        return outcome

    def _part(self, *, minus: bool) -> None:
        here = self._next
        if here.kind is Kind.NUMBER:
            self._advance()
            if here.text not in ("0", "1") or (minus and here.text == "0"):
                raise refuse(f"{here.text!r} is no term", here.position, "write 1, 0 or - 1")
            self._intercept = here.text == "1" and not minus
        elif minus:
            raise refuse("only 1 can be taken away", here.position, "leave the term out")
        else:
            self._product()

    def _product(self) -> bool:
        """One product, its terms noted; whether it was more than one factor or special."""
        here = self._next
        if self._function_ahead() in ("offset", "weights"):
            self._special()
            return True
        items = [self._item()]
        while self._take("*"):
            if len(items) == MAX_FACTORS:
                raise refuse(f"more than {MAX_FACTORS} factors", here.position, "write fewer")
            items.append(self._item())
        for size in range(1, len(items) + 1):
            for chosen in combinations(items, size):
                self._note(tuple(factor for item in chosen for factor in item), here.position)
        return len(items) > 1

    def _note(self, term: Term, position: int) -> None:
        if len(set(term)) < len(term) or len({_source(factor) for factor in term}) < len(term):
            raise refuse("a column stands twice in one product", position, "write bs(column)")
        if len(term) > MAX_FACTORS:
            raise refuse(f"more than {MAX_FACTORS} factors", position, "write fewer")
        self._terms.setdefault(frozenset(term), term)

    def _item(self) -> Term:
        factors = [self._factor()]
        while self._take(":"):
            factors.append(self._factor())
        return tuple(factors)

    def _special(self) -> None:
        name = self._advance()
        self._expect("(")
        number = self._number()
        self._expect(")")
        if name.text == "offset":
            self._offset = self._once(self._offset, number, name)
        elif number.lower < 0:
            raise refuse("a weight can be negative", name.position, "narrow it: clip(w, 0, 10)")
        else:
            self._weight = self._once(self._weight, number, name)

    def _once(self, old: Number | None, new: Number, name: Word) -> Number:
        if old is not None:
            raise refuse(f"{name.text} stands twice", name.position, "write it once")
        return new

    def _factor(self) -> Factor:
        here, function = self._next, self._function_ahead()
        if function in ("clip", "log", "log1p"):
            return self._number()
        if function is not None:
            self._advance()
            self._expect("(")
            factor = self._call(function, here)
            self._expect(")")
            return factor
        if here.kind is Kind.NAME and here.plain and here.text == SITE:
            self._advance()
            return Site()
        ref = self._column()
        return Levels(ref, ref.column.levels[0]) if ref.column.levels else _bounded(ref, here)

    def _call(self, function: str, here: Word) -> Factor:
        match function:
            case "C":
                return self._levels()
            case "bs":
                return self._spline(here)
            case "missing":
                return Gap(self._column())
            case _:
                raise refuse(
                    f"{function} cannot stand in a product", here.position, "add it with +"
                )

    def _levels(self) -> Levels:
        here = self._next
        ref = self._column()
        levels = ref.column.levels
        if not levels:
            raise refuse(f"{ref.name} has no levels", here.position, "write bs(column)")
        if not self._take(","):
            return Levels(ref, levels[0])
        self._keyword("ref")
        chosen = self._advance()
        if chosen.kind is not Kind.STRING or chosen.text not in levels:
            listed = ", ".join(map(repr, levels[:20]))
            raise refuse("no level of the column", chosen.position, f"write one of {listed}")
        return Levels(ref, chosen.text)

    def _spline(self, here: Word) -> Spline:
        number, knots, degree, df = self._number(), None, 3, None
        while self._take(","):
            name = self._advance()
            self._expect("=")
            match name.text:
                case "knots":
                    knots = self._numbers()
                case "df":
                    df = self._whole(1, MAX_KNOTS + MAX_DEGREE)
                case "degree":
                    degree = self._whole(1, MAX_DEGREE)
                case _:
                    raise refuse("no setting of bs", name.position, "write knots=[…] or df=4")
        low, high = transformed(number)
        if knots is None:
            knots = even_knots(low, high, max((df or degree + 2) - degree, 0))
        ascending = all(a < b for a, b in pairwise((low, *knots, high)))
        if not ascending or len(knots) > MAX_KNOTS:
            within = f"within {low:.12g} to {high:.12g}"
            raise refuse("knots ascend strictly within the bounds", here.position, within)
        return Spline(number, knots, degree)

    def _number(self) -> Number:
        here, function = self._next, self._function_ahead()
        if function is None:
            return _bounded(self._column(), here)
        if function not in ("clip", "log", "log1p"):
            raise refuse("a number is expected", here.position, "write a column, log() or clip()")
        self._advance()
        self._expect("(")
        number = self._clipped(here) if function == "clip" else self._log(Scale(function), here)
        self._expect(")")
        return number

    def _clipped(self, here: Word) -> Number:
        number = _bounded(self._column(), here)
        self._expect(",")
        low = self._signed()
        self._expect(",")
        high = self._signed()
        if not number.lower <= low < high <= number.upper:
            raise refuse(
                "clip narrows the declared bounds",
                here.position,
                f"stay within {number.lower:g} to {number.upper:g}",
            )
        if high - low < _NARROWEST * (number.upper - number.lower):
            raise refuse("clip leaves next to nothing", here.position, "leave a wider range")
        return replace(number, lower=low, upper=high)

    def _log(self, scale: Scale, here: Word) -> Number:
        number = self._number()
        if number.scale is not Scale.PLAIN:
            raise refuse("a logarithm of a logarithm", here.position, "write one")
        least = 0.0 if scale is Scale.LOG else -1.0
        if not number.lower > least:
            raise refuse(
                f"{scale.value} of a number that can be {number.lower:g}",
                here.position,
                "write log1p(x), or narrow it: log(clip(x, 1, 100))",
            )
        return replace(number, scale=scale)

    def _column(self) -> ColumnRef:
        word = self._advance()
        if word.kind is not Kind.NAME:
            self._unexpected(word)
        if self._next.text == "(" and self._next.kind is Kind.SIGN:
            listed = ", ".join(_FUNCTIONS)
            raise refuse(f"{word.text!r} is no function", word.position, f"write one of {listed}")
        try:
            ref = self._dictionary.resolve(word.text)
        except BadInput as error:
            raise refuse(error.what, word.position, error.instead) from None
        if ref.column.type in (ColumnType.TEXT, ColumnType.DATE):
            raise refuse(
                f"{ref.name} is a {ref.column.type.value} column",
                word.position,
                "use a number or a column with levels",
            )
        return ref

    def _numbers(self) -> tuple[float, ...]:
        self._expect("[")
        found = [] if self._sees("]") else [self._signed()]
        while self._take(","):
            found.append(self._signed())
        self._expect("]")
        return tuple(found)

    def _signed(self) -> float:
        minus = self._take("-")
        word = self._advance()
        if word.kind is not Kind.NUMBER or not math.isfinite(float(word.text)):
            raise refuse("a number is expected", word.position, "write one")
        return -float(word.text) if minus else float(word.text)

    def _whole(self, low: int, high: int) -> int:
        word = self._advance()
        if not word.text.isascii() or not word.text.isdigit() or not low <= int(word.text) <= high:
            raise refuse("a whole number is expected", word.position, f"from {low} to {high}")
        return int(word.text)

    def _function_ahead(self) -> str | None:
        """The function's name, if one is next; a column may share its name in backquotes."""
        word = self._next
        known = word.kind is Kind.NAME and word.plain and word.text in _FUNCTIONS
        return word.text if known else None

    def _keyword(self, name: str) -> None:
        word = self._advance()
        if word.text != name:
            raise refuse(f"{name}= is expected", word.position, f"write {name}='level'")
        self._expect("=")

    def _advance(self) -> Word:
        word = self._next
        if word.kind is not Kind.END:
            self._next = next(self._words)
        return word

    def _sees(self, sign: str) -> bool:
        return self._next.kind is Kind.SIGN and self._next.text == sign

    def _take(self, sign: str) -> bool:
        taken = self._sees(sign)
        if taken:
            self._advance()
        return taken

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            self._unexpected(self._next, f"write {sign}")

    def _unexpected(self, word: Word, instead: str = "write outcome ~ term + term") -> NoReturn:
        found = repr(word.text) if word.text else "the end"
        raise refuse(f"{found} is not expected here", word.position, instead)


def _source(factor: Factor) -> str:
    match factor:
        case Site():
            return SITE
        case Spline(number):
            return number.column.name
        case Gap(column):
            return f"missing {column.name}"
        case Number(column) | Levels(column):
            return column.name


def _bounded(ref: ColumnRef, word: Word) -> Number:
    column = ref.column
    if column.type not in _NUMERIC:
        raise refuse(f"{ref.name} is no number", word.position, f"write C({column.name})")
    if column.bounds is None or not column.bounds[0] < column.bounds[1]:
        raise refuse(
            f"{ref.name} has no bounds",
            word.position,
            "declare lower and upper in the dictionary",
        )
    if not _SIZES[0] < column.bounds[1] - column.bounds[0] < _SIZES[1]:
        raise refuse(
            f"the bounds of {ref.name} are too narrow or too wide",
            word.position,
            "declare the column in another unit",
        )
    return Number(ref, *column.bounds)


def transformed(number: Number) -> tuple[float, float]:
    """The bounds in the scale in which the number enters."""
    match number.scale:
        case Scale.PLAIN:
            return number.lower, number.upper
        case Scale.LOG:
            return math.log(number.lower), math.log(number.upper)
        case Scale.LOG1P:
            return math.log1p(number.lower), math.log1p(number.upper)
