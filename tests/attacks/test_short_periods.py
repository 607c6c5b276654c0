"""A23: an organisation's ledger opens a new "year" every day, each with a year's budget."""

from __future__ import annotations

from datetime import timedelta

import pytest

from privacy.contract.time import instant_text, parse_instant
from privacy.errors import Code, Refused
from privacy.ledger import fold
from privacy.ledger.steward_entry import PeriodOpened
from tests.support.ledger_factory import (
    COST,
    MemoryLedger,
    founder,
    fresh_ledger,
    signed_period,
)


def _next_day(ledger: MemoryLedger) -> PeriodOpened:
    period = ledger.state.period
    assert period is not None
    starts = parse_instant(period.ends)
    ledger.now = starts
    day = PeriodOpened(
        starts=period.ends,
        ends=instant_text(starts + timedelta(days=1)),
        budget_rho=period.budget_rho,
        by="steward",
    )
    return signed_period(day, founder(ledger.node), ledger.node, starts)


def test_a_period_is_a_year_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as unprotected:
        unprotected.setattr(fold, "SHORTEST_PERIOD", timedelta(seconds=1))
        ledger = fresh_ledger("als-forum", COST * 2, {})
        for _ in range(3):
            ledger.append(_next_day(ledger))
        assert ledger.state.left == COST * 2, "three budgets in three days"
    ledger = fresh_ledger("als-forum", COST * 2, {})
    with pytest.raises(Refused) as refused:
        ledger.append(_next_day(ledger))
    assert refused.value.code is Code.CONFLICT
