"""Members charged one by one where the sums are computed on a copy: the same totals and charges."""

from __future__ import annotations

from pathlib import Path

from models.cohort.expression import Everyone
from models.cohort.parse import parse_cohort
from models.contribution import BoundedValue, CellCounts
from node.engine_cohort import ibis, listed
from node.layout import MEMBERS
from tests.data.test_balances import COUNT, DICTIONARY, SUM, Node
from tests.support.engines import Engines

QUESTIONS = ((SUM, ""), (COUNT, "group == 'a'"), (SUM, "group in ['a', 'b']"), (SUM, ""), (SUM, ""))


def answers(node: Node, engines: Engines | None) -> list[tuple[list[int], list[int]]]:
    """What is answered, and what everybody has spent after it."""
    where = None if engines is None else engines.holding(node.records)
    found = []
    for shape, cohort in QUESTIONS:
        found.append((asked(node, shape, cohort, where), node.spent()))
    return found


def asked(node: Node, shape: BoundedValue | CellCounts, cohort: str, where: object) -> list[int]:
    plan = node.reserve()
    parsed = parse_cohort(cohort, DICTIONARY) if cohort else Everyone()
    found = node.read(plan, shape=shape, cohort=parsed, where=where)  # type: ignore[arg-type]
    node.commit(plan)
    node.release(plan)
    return found


def test_a_hundred_thousand_who_sit_out_are_left_out_by_one_text(
    engines: Engines, tmp_path: Path
) -> None:
    """Each of them is left out, whoever is not is asked, and nobody waits for the query's text."""
    node = Node(tmp_path / "node")
    where = engines.holding(node.records)
    members = ibis().table({"member_ix": "int32"}, name=MEMBERS)
    many = [*range(3), *range(1_000, 100_000)]
    with where.reading() as reading:
        known = reading.run(members.select(ix=members.member_ix))["ix"].tolist()
        asked = members.filter(members.member_ix.notin(listed(many)))
        found = reading.run(asked.select(ix=asked.member_ix))["ix"].tolist()
    assert sorted(found) == sorted(set(known) - set(many))
    assert set(known) & set(many), "somebody sits out"
    assert found, "and somebody does not"
    node.records.close()


def test_a_copy_charges_and_leaves_out_as_the_file_does(
    remote_engines: Engines, tmp_path: Path
) -> None:
    """Two members use theirs up on the way and leave."""
    own, elsewhere = Node(tmp_path / "own"), Node(tmp_path / "elsewhere")
    expected = answers(own, None)
    assert answers(elsewhere, remote_engines) == expected
    assert expected[0][0] == [2250]
    assert expected[-1][0] < [2250], "somebody has left"
    own.records.close()
    elsewhere.records.close()
