"""Classes of consent: the list that a question reads is right with holes, ranges and lists."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from node.consent import set_consent
from node.engine_cohort import consenting, ibis
from node.records import Records
from privacy.contract.consent import ConsentState
from privacy.contract.diseases import KNOWN_DISEASES
from privacy.contract.duo import Research, Use
from privacy.contract.duo_text import parse_terms
from tests.support.consent_world import counted, load

TODAY = date(2026, 3, 1)
CHARITY = Use(study="a", research=Research.HEALTH, for_profit=False, commercial=False)
FIRM = Use(study="a", research=Research.HEALTH, for_profit=True, commercial=True)


@pytest.mark.parametrize(
    "classes",
    [(), (3,), (0, 1, 2), (0, 2), (0, 4, 5, 9), tuple(range(0, 60, 2)), (1, *range(5, 60, 3))],
)
def test_holes_and_lists_say_the_same(classes: tuple[int, ...]) -> None:
    table = ibis().memtable({"consent-class:all": [None, *range(61)]})
    table = table.cast({"consent-class:all": "int32"})
    found = table.filter(consenting(table, "all", classes)).to_pandas()["consent-class:all"]
    assert sorted(int(number) for number in found) == list(classes)


def test_many_days_and_terms(tmp_path: Path) -> None:
    """Forty people, each with their own last day, every other one under terms."""
    people = [f"p{i:02}" for i in range(40)]
    lines = [
        f"{who},all,given,{(TODAY + timedelta(i - 20)).isoformat()},{'GRU NPU' if i % 2 else ''}"
        for i, who in enumerate(people)
    ]
    records = Records.open(":memory:")
    load(
        records,
        tmp_path,
        people="who,n\n" + "".join(f"{who},1\n" for who in people),
        events="who,purpose,state,until,terms\n" + "\n".join(lines) + "\n",
    )
    for day in range(-25, 25, 3):
        today = TODAY + timedelta(day)
        left = [i for i in range(40) if TODAY + timedelta(i - 20) >= today]
        assert counted(records, "research", today, CHARITY) == len(left)
        assert counted(records, "research", today, FIRM) == len([i for i in left if i % 2 == 0])


def test_a_class_keeps_its_number_and_is_made_once(tmp_path: Path) -> None:
    records = Records.open(":memory:")
    load(records, tmp_path)
    for member in ("a", "b"):
        set_consent(records, member, "all", ConsentState.GIVEN, terms=parse_terms("GRU NPU"))
    first = records.classes(TODAY, TODAY, CHARITY, KNOWN_DISEASES)
    load(records, tmp_path, events="who,purpose,state,terms\nc,all,given,HMB\n")
    assert records.classes(TODAY, TODAY, CHARITY, KNOWN_DISEASES)[: len(first)] == first
    assert len(records.classes(TODAY, TODAY, None, KNOWN_DISEASES)) == 1
    assert counted(records, "all", TODAY, CHARITY) == 1
