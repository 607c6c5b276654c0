"""Policies in words, what was taken back, and the overview, from bundles that hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coordinator.api import auditor_views
from coordinator.api.auditor_views import withdrawals_view
from coordinator.api.verifying import Checked
from coordinator.audit.history import (
    between,
    consent_months,
    entries_of,
    policy_versions,
    withdrawals,
)
from coordinator.audit.overview import overview
from coordinator.audit.verify import Verified, verified
from coordinator.cli.researcher import app
from privacy.contract.policy import Preset
from privacy.contract.presets import preset
from privacy.errors import BadInput
from privacy.ledger.entry import Approval, ConsentRoot, KeysRevoked, Paused, PolicySet, Resumed
from tests.support.bundle_factory import NODES, Network
from tests.support.ledger_factory import BY, DELTA_TEXT, digest_of, signing_key

Cairn = Callable[..., Result]
LOST_KEY = signing_key("lost").public


def lived_in(folder: Path) -> Path:
    """A network in which an organisation tightened its policy, paused and withdrew."""
    network = Network()
    network.ask("0.5")
    first = network.ledgers[NODES[0]]
    network.tick(60)
    tighter = preset(Preset.BALANCED, DELTA_TEXT)
    first.append(PolicySet.of(tighter, BY, "after the board's meeting"))
    first.append(Paused(by=BY))
    network.tick(60)
    first.append(Resumed(by=BY))
    revoked = network.revoke(LOST_KEY)
    for late, node in enumerate(NODES):
        network.tick(30 * late)
        network.ledgers[node].append(KeysRevoked(revocation=revoked, keys=(LOST_KEY.text,)))
    given = next(e.body for e in first.entries if isinstance(e.body, Approval))
    first.append(given.model_copy(update={"decision": "withdrawn", "reason": "asked by members"}))
    for month, day in (("2026-01", 0), ("2026-03", 59)):
        network.tick(day * 86400)
        first.append(ConsentRoot(epoch=month, root=digest_of(month)))
    network.witness("coordinator", NODES[1])
    return network.write(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lived_in(tmp_path_factory.mktemp("lived") / "bundle")


@pytest.fixture(scope="module")
def found(folder: Path) -> Verified:
    return verified(folder)


@pytest.fixture
def cairn(folder: Path) -> Cairn:
    def run(*words: str) -> Result:
        line = ["audit", words[0], str(folder), *words[1:]]
        return CliRunner().invoke(app, line, env={"NO_COLOR": "1"}, catch_exceptions=False)

    return run


def test_a_policys_versions_say_what_changed(found: Verified) -> None:
    first, second = policy_versions(found, NODES[0])
    assert first.changes == first.words
    assert (second.number, second.by, second.reason) == (2, BY, "after the board's meeting")
    changed = dict(second.changes)
    assert changed["in a year"] == "epsilon 5 -> epsilon 3"
    assert changed["began as"] == "own -> balanced"
    assert "organisations" not in changed
    assert dict(between((first, second), 1, 2)) == changed
    back = dict(between((first, second), 2, 1))
    assert back["in a year"] == "epsilon 3 -> epsilon 5"
    with pytest.raises(BadInput):
        between((first, second), 1, 3)


def test_what_was_taken_back_is_listed_with_its_effect(found: Verified) -> None:
    taken = withdrawals(found)
    assert [(each.kind, each.node) for each in taken] == [
        ("paused", NODES[0]),
        ("key revoked", NODES[0]),
        ("key revoked", NODES[1]),
        ("approval withdrawn", NODES[0]),
        ("key revoked", NODES[2]),
    ]
    pause, one, two, approval, three = taken
    keys = (one, two, three)
    assert pause.until > pause.at
    assert [each.after_seconds for each in keys] == [0, 30, 90]
    assert keys[0].what == LOST_KEY.fingerprint
    assert (approval.until, approval.under_way, approval.charged_after) == ("", 0, 0)


def test_pages_of_what_was_taken_back_are_the_whole(
    found: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor_views, "_WITHDRAWN", 2)
    checked = Checked(found, found.report.made_at)
    whole = withdrawals_view(checked, None)
    assert [each.model_dump() for each in whole.withdrawals] == [
        each.to_json() for each in withdrawals(found)
    ]
    assert (whole.found, whole.page, whole.pages) == (5, 1, 1)
    pages = [withdrawals_view(checked, number) for number in (1, 2, 3, 9)]
    assert [each.page for each in pages] == [1, 2, 3, 3]
    assert {(each.found, each.pages) for each in pages} == {(5, 3)}
    parts = [each.withdrawals for each in pages[2::-1]]
    assert [each for part in parts for each in part] == whole.withdrawals
    assert [len(part) for part in parts] == [1, 2, 2]


def test_months_of_consent_and_the_missing_one(found: Verified) -> None:
    assert consent_months(entries_of(found, NODES[0])) == (("2026-01", "2026-03"), ("2026-02",))
    assert consent_months(entries_of(found, NODES[1])) == ((), ())


def test_the_overview_shows_spent_and_limit_and_what_is_odd(found: Verified) -> None:
    first, second, third = overview(found)
    assert first.limit.epsilon == pytest.approx(3, rel=1e-9)
    assert first.spent.epsilon == pytest.approx(0.5, rel=1e-5)
    assert second.limit.epsilon == pytest.approx(5, rel=1e-9)
    assert 0 < second.share < first.share < 0.1
    assert second.remarks == ("nobody else vouches for this ledger",)
    assert (third.node, third.remarks) == (NODES[1], ())


def test_the_commands_print_tables_and_json(cairn: Cairn) -> None:
    table = cairn("overview")
    assert (table.exit_code, NODES[0] in table.stdout) == (0, True)
    shown = json.loads(cairn("overview", "--format", "json").stdout)
    assert [each["node"] for each in shown] == sorted(NODES)
    versions = json.loads(cairn("policies", "--node", NODES[0], "--format", "json").stdout)
    assert [each["number"] for each in versions] == [1, 2]
    pair = cairn("policies", "--node", NODES[0], "--between", "1", "2", "--format", "json")
    assert json.loads(pair.stdout)["in a year"] == "epsilon 5 -> epsilon 3"
    assert "epsilon 5 -> epsilon 3" in cairn("policies").stdout
    taken = json.loads(cairn("withdrawals", "--format", "json").stdout)
    assert [each["kind"] for each in taken].count("key revoked") == 3
    assert "approval withdrawn" in cairn("withdrawals").stdout


def test_the_replay_command_says_what_would_have_been_refused(cairn: Cairn) -> None:
    table = cairn("replay", "--limit", "question=0.3")
    assert "1 of 1 questions would have been refused" in table.stdout
    assert "it costs more than one question may" in table.stdout
    shown = json.loads(cairn("replay", "--limit", "question=0.3", "--format", "json").stdout)
    assert shown["refused"][0]["why"] == "question_limit"
    assert shown["nodes"][0]["charged"]["supposed"]["rho"] == "0/1"
    rows = cairn("replay", "--limit", "period=9", "--format", "csv").stdout.splitlines()
    assert rows == ["at,node,entry,study,epsilon,left,why,question"]


def test_wrong_use_is_two_and_a_bad_bundle_is_six(cairn: Cairn, tmp_path: Path) -> None:
    assert cairn("replay").exit_code == 2
    assert cairn("policies", "--between", "1", "2").exit_code == 2
    assert cairn("policies", "--node", "nowhere").exit_code == 2
    assert cairn("overview", "--coordinator-key", "x").exit_code == 2
    assert cairn("overview", "--coordinator-key", LOST_KEY.text).exit_code == 6
    missing = CliRunner().invoke(app, ["audit", "overview", str(tmp_path)], env={"NO_COLOR": "1"})
    assert missing.exit_code == 6
