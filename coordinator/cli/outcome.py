"""Exit codes: what a script can tell from how a command ended.

0 done · 1 a bug · 2 wrong use · 3 refused by policy · 4 over budget · 5 a node or the
coordinator is offline · 6 verification failed
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from coordinator.client.errors import BUDGET_CODES, BudgetExceeded, NodeOffline
from privacy.contract.shown import printable
from privacy.errors import (
    BadInput,
    CairnError,
    Code,
    ProtocolError,
    Refused,
    VerificationFailed,
)


class Exit(IntEnum):
    OK = 0
    BUG = 1
    USAGE = 2
    REFUSED = 3
    BUDGET = 4
    OFFLINE = 5
    UNVERIFIED = 6


_USAGE = {
    Code.BAD_REQUEST,
    Code.UNKNOWN_STUDY,
    Code.UNKNOWN_COLUMN,
    Code.BAD_EXPRESSION,
    Code.BAD_EPSILON,
    Code.TOO_MANY_CELLS,
    Code.TOO_MANY_ATTEMPTS,
    Code.NOT_FOUND,
}


def exit_code(error: CairnError) -> Exit:
    """The exit code for an error raised on purpose."""
    match error:
        case BudgetExceeded():
            return Exit.BUDGET
        case NodeOffline():
            return Exit.OFFLINE
        case Refused(code=code) if code in BUDGET_CODES:
            return Exit.BUDGET
        case Refused(code=Code.INTERNAL):
            return Exit.BUG
        case Refused(code=code):
            return Exit.USAGE if code in _USAGE else Exit.REFUSED
        case BadInput():
            return Exit.USAGE
        case VerificationFailed() | ProtocolError():
            return Exit.UNVERIFIED
        case _:
            return Exit.BUG


@contextmanager
def outcome() -> Iterator[None]:
    """Turn an error raised on purpose into one line on stderr and its exit code."""
    try:
        yield
    except CairnError as error:
        print(printable(f"cairn: {error}"), file=sys.stderr)
        raise typer.Exit(int(exit_code(error))) from None
