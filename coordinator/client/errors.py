"""What can go wrong for a researcher. Every error carries `.code` from the catalogue.

Refused              a catalogue code with public fields
├── BudgetExceeded   .needed, .left and .suggest, in epsilon
├── NotSignedIn      no token, or not a valid one
└── NodeOffline      too few nodes can answer now
    ├── Unreachable  the coordinator itself does not answer
    └── TimedOut     not finished in time; .run_id goes on and can be looked up
BadInput             what you wrote is wrong; nothing was sent
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from privacy import errors
from privacy.accounting.conversion import epsilon_of_rho
from privacy.errors import Code
from privacy.units import Rho

_OFFLINE = {
    Code.NODE_OFFLINE,
    Code.NOT_ENOUGH_NODES,
    Code.ATTEMPT_LOST,
    Code.PAUSED,
    Code.KEYS_NOT_READY,
    Code.NOT_WITNESSED,
    Code.LEDGER_STOPPED,
    Code.HISTORY_BROKEN,
    Code.PEERS_NOT_CONFIRMED,
}
BUDGET_CODES = {
    Code.BUDGET_EXCEEDED,
    Code.STUDY_BUDGET_EXCEEDED,
    Code.RESEARCHER_BUDGET_EXCEEDED,
    Code.QUESTION_LIMIT,
    Code.DELEGATION_EXCEEDED,
}
_THREE_DIGITS = Context(prec=3, rounding=ROUND_FLOOR)

Fields = Mapping[str, str | int | float]


class Refused(errors.Refused):
    """The network refused; `title` says it in words."""

    def __init__(self, code: Code, title: str = "", fields: Fields | None = None) -> None:
        super().__init__(code, **dict(fields or {}))
        self.title = title

    def __str__(self) -> str:
        known = ", ".join(f"{name}: {value}" for name, value in sorted(self.public_fields.items()))
        words = self.title or self.code.value.replace("_", " ")
        return f"{words} [{self.code.value}]" + (f" ({known})" if known else "")


class Explained(Refused):
    """A refusal whose title has its fields in words."""

    def __str__(self) -> str:
        return f"{self.title} [{self.code.value}]"


class BudgetExceeded(Refused):
    """The question costs more than is left. Amounts are epsilon at the study's delta.

    `suggest` is the largest epsilon (three digits) that would fit, None if nothing does.
    """

    def __init__(
        self, code: Code, title: str, fields: Fields, delta: Fraction, openings: int = 1
    ) -> None:
        super().__init__(code, title, fields)
        needed, left = _rho(fields.get("needed")), _rho(fields.get("left"))
        self.needed = None if needed is None else epsilon_of_rho(needed, delta)
        self.left = None if left is None else epsilon_of_rho(left, delta)
        self.suggest = None if left is None else affordable_epsilon(left, delta, openings)

    def __str__(self) -> str:
        if self.needed is None or self.left is None:
            return super().__str__()
        line = f"{self.title} [{self.code.value}] needs epsilon {self.needed:.4g}"
        advice = f"; epsilon={self.suggest} would fit" if self.suggest else ""
        return f"{line}, left is {self.left:.4g}{advice}"


class NotSignedIn(Refused):
    """No token, or one that the coordinator does not know."""


class NodeOffline(Refused):
    """Too few nodes can answer now; nothing in the question is wrong."""


class Unreachable(NodeOffline):
    """The coordinator does not answer."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(Code.NODE_OFFLINE, f"The coordinator at {url} does not answer ({why}).")

    def __str__(self) -> str:
        return self.title


class TimedOut(NodeOffline):
    """The run was not finished in time. It goes on: `net.run(error.run_id)` looks it up."""

    def __init__(self, run_id: str, seconds: float) -> None:
        title = f"Not finished after {seconds:g} s; the run goes on as {run_id}."
        super().__init__(Code.NODE_OFFLINE, title)
        self.run_id = run_id

    def __str__(self) -> str:
        return self.title


class BadInput(errors.BadInput):
    """What you wrote is wrong. Found before anything was sent."""

    def __init__(
        self, what: str, *, where: str = "", instead: str = "", code: Code = Code.BAD_REQUEST
    ) -> None:
        super().__init__(what, where=where, instead=instead)
        self.code = code


@contextmanager
def checking(code: Code, where: str = "", *, named: Code | None = None) -> Iterator[None]:
    """Give the pure functions' BadInput a code and a place; `named` where they name the place."""
    try:
        yield
    except errors.BadInput as error:
        place = error.where or where
        found = named if named and error.where else code
        raise BadInput(error.what, where=place, instead=error.instead, code=found) from None
    except errors.Refused as refused:
        raise refusal(refused.code, "", refused.public_fields) from None


def refusal(
    code: Code,
    title: str,
    fields: Fields,
    delta: Fraction | None = None,
    openings: int = 1,
) -> Refused:
    """The exception for a catalogue code. `openings` is what the left budget has to cover."""
    if code in BUDGET_CODES and delta is not None:
        return BudgetExceeded(code, title, fields, delta, openings)
    if code in _OFFLINE:
        return NodeOffline(code, title, fields)
    if code is Code.NOT_SIGNED_IN:
        return NotSignedIn(code, title, fields)
    return Refused(code, title, fields)


def affordable_epsilon(left: Rho, delta: Fraction, openings: int = 1) -> float | None:
    """The largest epsilon of three digits of which `openings` openings cost at most `left`."""
    epsilon = epsilon_of_rho(Rho(left.units // max(openings, 1)), delta)
    # The conversion rounds up; the step down by the fourth digit keeps the figure below it.
    rounded = _THREE_DIGITS.create_decimal(Decimal(epsilon) * (1 - Decimal("1e-9")))
    return float(rounded) if rounded > 0 else None


def _rho(value: str | float | None) -> Rho | None:
    try:
        return None if value is None else Rho.parse(str(value))
    except errors.BadInput:
        return None
