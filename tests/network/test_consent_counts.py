"""A member's word counts from the next question on, through the whole network."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from node.consent import ALL
from privacy.contract.study import ConsentRule
from tests.support.network import PURPOSE, STUDY, Network

RICH = {"epsilon_allowance": "1000000000000000", "yearly_epsilon": "1000000000000000"}
YESTERDAY, TODAY, TOMORROW = date(2026, 3, 9), date(2026, 3, 10), date(2026, 3, 11)


@pytest.fixture
def network(make: Callable[..., Network]) -> Network:
    return make(**RICH)


def _count(network: Network, cohort: str) -> int:
    """Members counted; each cohort is another question, so none is answered from the store."""
    run = network.ask({"kind": "count"}, cohort, epsilon="10000000000000")
    [estimate] = network.estimates(run).values()
    assert abs(estimate - round(estimate)) < 0.01
    return round(estimate)


def _someone(network: Network, node: str, consents: bool = True) -> str:
    people = network.shape.people(node)
    return str(people[people["consent"] == ("yes" if consents else "no")]["member"].iloc[0])


def _say(network: Network, node: str, member: str, state: str, *days: date | None) -> None:
    starts, ends = (*days, None, None)[:2]
    network.nodes[node].steward.consent(member, PURPOSE, state, starts, ends)


def test_only_consenting_members_are_counted(network: Network) -> None:
    assert _count(network, "") == len(network.pooled)


def test_without_a_consent_rule_all_members_are_counted(make: Callable[..., Network]) -> None:
    network = make(**RICH, consent=ConsentRule.NONE)
    assert _count(network, "") == 180


@pytest.mark.parametrize(
    ("word", "change"),
    [
        (("withdrawn",), -1),
        (("refused",), -1),
        (("given", None, YESTERDAY), -1),
        (("given", TOMORROW, None), -1),
        (("given", TODAY, TODAY), 0),
        (("given", None, None), 0),
    ],
)
def test_a_word_counts_from_the_next_question_on(
    network: Network, word: tuple[Any, ...], change: int
) -> None:
    before = _count(network, "")
    _say(network, "ms-league", _someone(network, "ms-league"), *word)
    assert _count(network, "age >= 0") == before + change


def test_consent_ends_on_its_last_day_without_anybody_doing_anything(network: Network) -> None:
    before = _count(network, "")
    _say(network, "als-union", _someone(network, "als-union"), "given", None, TODAY)
    assert _count(network, "age >= 0") == before
    network.clock.forward(days=1)
    assert _count(network, "age >= 0.5") == before - 1


@pytest.mark.parametrize(
    ("terms", "change"),
    [
        ("GRU", 0),
        ("HMB NPU NCU", 0),  # the study makes no profit and is not commercial
        ("HMB IRB", -1),  # it names no ethics approval
        ("DS=MONDO:0005301", -1),  # it is health research on no one condition
        ("HMB ASK", -1),
        (f"HMB ASK={STUDY}", 0),
        ("HMB GS=CH", -1),  # its investigator names no country
    ],
)
def test_consent_under_terms_counts_where_they_permit_the_study(
    network: Network, terms: str, change: int
) -> None:
    before = _count(network, "")
    member = _someone(network, "ms-league")
    steward = network.nodes["ms-league"].steward
    steward.consent(member, PURPOSE, "given", None, None, {"terms": terms})
    assert _count(network, "age >= 0") == before + change


def test_consent_given_later_counts_later(network: Network) -> None:
    before = _count(network, "")
    _say(network, "als-union", _someone(network, "als-union", consents=False), "given")
    assert _count(network, "age >= 0") == before + 1


def test_withdrawing_from_everything_reaches_this_purpose(network: Network) -> None:
    before = _count(network, "")
    member = _someone(network, "mood-circle")
    network.nodes["mood-circle"].steward.consent(member, ALL, "withdrawn", None, None)
    assert _count(network, "age >= 0") == before - 1


def test_a_withdrawal_outlives_the_next_import(network: Network) -> None:
    before = _count(network, "")
    node = network.nodes["ms-league"]
    _say(network, "ms-league", _someone(network, "ms-league"), "withdrawn")
    files = node.home.root.parent.parent / "files" / "ms-league"
    node.steward.import_data(files)
    assert _count(network, "age >= 0") == before - 1


def test_consent_is_read_when_the_question_is_answered_not_when_it_is_asked(
    network: Network,
) -> None:
    """Withdrawn between the reservation and the contribution: not counted."""
    before = len(network.pooled)
    compiled = network.plan(network.question({"kind": "count"}, epsilon="10000000000000"))
    member = _someone(network, "als-union")

    def withdraw(node: str, ask: Any, packet: Any) -> Any:
        if (node, str(ask)) == ("als-union", "contribute"):
            _say(network, "als-union", member, "withdrawn")
        return packet

    network.wire.outbound.append(withdraw)
    [estimate] = network.estimates(network.run(compiled)).values()
    assert round(estimate) == before - 1
