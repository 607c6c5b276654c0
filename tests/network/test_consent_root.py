"""The consent table's root in a real ledger: once a month, at a whole hour, and opened to an
auditor against a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.audit.consent import verify_consent
from coordinator.audit.meter import silent
from coordinator.audit.verify import Pinned
from node.consent_calendar import ConsentCalendar
from node.program import consent_calendar, keep_calendar
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger.entry import ConsentRoot, ConsentText
from tests.support.net_bundle import bundle
from tests.support.network import PURPOSE, Network

NODE = "ms-league"


@pytest.fixture
def network(make: Callable[..., Network]) -> Network:
    return make()


def roots(network: Network) -> list[ConsentRoot]:
    return [body for body in network.nodes[NODE].bodies if isinstance(body, ConsentRoot)]


def a_month(network: Network, calendar: ConsentCalendar) -> None:
    """Two ticks, an hour apart."""
    keep_calendar(calendar)
    network.clock.forward(hours=1)
    keep_calendar(calendar)


def audited(network: Network, opening: Any, folder: Path) -> dict[str, Any]:
    """What an auditor finds with a fresh bundle."""
    network.settle()
    bundle(network, folder / "bundle")
    (folder / "opening.json").write_text(json.dumps(opening))
    pinned = Pinned(network.key.public)
    return verify_consent(
        folder / "bundle", folder / "opening.json", pinned=pinned, progress=silent
    )


def test_a_root_a_month_at_the_next_whole_hour(network: Network) -> None:
    calendar = consent_calendar(network.nodes[NODE].parts)
    keep_calendar(calendar)
    assert roots(network) == []
    network.clock.forward(minutes=1)
    keep_calendar(calendar)
    assert roots(network) == []
    network.clock.forward(hours=1)
    for _ in range(3):
        keep_calendar(calendar)
        network.clock.forward(hours=30)
    assert [each.epoch for each in roots(network)] == ["2026-03"]
    network.clock.forward(days=31)
    a_month(network, calendar)
    first, second = roots(network)
    assert second.epoch == "2026-04"
    assert first.root != second.root


def test_a_restart_between_taking_and_writing_changes_nothing(network: Network) -> None:
    parts = network.nodes[NODE].parts
    keep_calendar(consent_calendar(parts))
    again = consent_calendar(parts)
    a_month(network, again)
    [written] = roots(network)
    network.nodes[NODE].steward.consent_proof("2026-03")
    assert written.epoch == "2026-03"


def test_no_root_is_written_for_another_month_or_twice(network: Network) -> None:
    ledger = network.nodes[NODE].service.ledger
    for epoch in ("2026-02", "2026-04"):
        with pytest.raises(Refused) as refused:
            ledger.append(ConsentRoot(epoch=epoch, root="0" * 64))
        assert refused.value.code is Code.CONFLICT
    ledger.append(ConsentRoot(epoch="2026-03", root="0" * 64))
    with pytest.raises(Refused):
        ledger.append(ConsentRoot(epoch="2026-03", root="1" * 64))


def test_what_members_say_shows_nowhere_in_the_ledger(network: Network) -> None:
    """The same entries whether somebody withdrew, was erased, or nothing happened."""
    node = network.nodes[NODE]
    members = network.shape.people(NODE)["member"]
    kinds = []
    for month in range(3):
        before = node.service.ledger.size
        if month == 1:
            node.steward.consent(str(members.iloc[0]), PURPOSE, "withdrawn", None, None)
            node.steward.erase(str(members.iloc[1]))
        a_month(network, consent_calendar(node.parts))
        network.clock.forward(days=31)
        kinds.append([body.kind for body in node.bodies[before:]])
    assert kinds == [["consent"]] * 3


def test_an_auditor_checks_the_table_against_the_ledger(network: Network, tmp_path: Path) -> None:
    node = network.nodes[NODE]
    text = node.steward.adopt_text(PURPOSE, "de", "Darf der Verein …")
    assert [b.text for b in node.bodies if isinstance(b, ConsentText)] == [text]
    member = str(network.shape.people(NODE)["member"].iloc[0])
    node.steward.consent(member, PURPOSE, "given", None, None, {"text": text})
    a_month(network, consent_calendar(node.parts))
    whole = node.steward.consent_proof("2026-03")
    found = audited(network, whole, tmp_path)
    assert (found["whole"], found["texts in the ledger"], found["erased"]) == (True, 1, 0)
    hidden = {**whole, "records": whole["records"][:-2] + whole["records"][-1:]}
    lied = {**whole, "records": [*whole["records"]]}
    lied["records"][-2] = {**lied["records"][-2], "salt": whole["records"][0]["salt"]}
    (tmp_path / "one").mkdir()
    one = audited(network, node.steward.consent_proof("2026-03", member), tmp_path / "one")
    assert one["words"] == {"given": sum(one["words"].values())}
    (tmp_path / "hidden").mkdir()
    assert audited(network, hidden, tmp_path / "hidden")["erased"] == 1  # it cannot pass unseen
    (tmp_path / "lied").mkdir()
    with pytest.raises(VerificationFailed):
        audited(network, lied, tmp_path / "lied")
    (tmp_path / "other").mkdir()
    with pytest.raises(VerificationFailed, match="no root of that month"):
        audited(network, {**whole, "epoch": "2026-04"}, tmp_path / "other")
