"""A budget is renewed by a steward's signature alone: what is forged renews nothing, anywhere.

Each forgery first wins against a ledger without the rule; then node, copy and auditor refuse it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.api.budgets import Budgets
from coordinator.audit.verify import Pinned, verify_bundle
from coordinator.store.store import Store
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.errors import Code, Refused, VerificationFailed
from privacy.ledger import fold
from privacy.ledger.chain import replay
from privacy.ledger.entry import PolicySet
from privacy.ledger.steward_entry import (
    PeriodOpened,
    Signed,
    StewardEnded,
    StewardInvited,
    StewardJoined,
    end_word,
    policy_word,
)
from privacy.ledger.stewards import policy_digest
from tests.support.bundle_factory import COORDINATOR, NODES, Network
from tests.support.ledger_factory import (
    COST,
    NETWORK,
    START,
    YEAR,
    MemoryLedger,
    founder,
    fresh_ledger,
    period,
    policy,
    signed_period,
    signing_key,
)

NODE, OTHER = "alpha", "beta"
INA, TOM, EVE = (signing_key(name) for name in ("ina", "tom", "eve"))
BUDGET = COST * 2


def over() -> MemoryLedger:
    """The first period is over, and nobody has joined as a steward."""
    ledger = fresh_ledger(NODE, BUDGET, {})
    ledger.now = START + YEAR
    return ledger


def join(ledger: MemoryLedger, name: str, key: SigningKey, by: SigningKey | None = None) -> None:
    code = signing_key(f"to {name}")
    body = StewardInvited(
        name=name,
        invitation=code.public.text,
        expires=instant_text(ledger.now + timedelta(days=7)),
        by="Ina",
        reason="",
    )
    signed = None if by is None else said(ledger, by, body.word)
    ledger.append(body.model_copy(update={"signed": signed}))
    ledger.append(StewardJoined.of(code, key))


def said(ledger: MemoryLedger, key: SigningKey, word: dict[str, object]) -> Signed:
    return Signed.of(key, ledger.node, NETWORK, instant_text(ledger.now), word)


def joined() -> MemoryLedger:
    """The same, and Ina and Tom have joined with keys of their own."""
    ledger = over()
    join(ledger, "Ina", INA)
    join(ledger, "Tom", TOM, INA)
    return ledger


def year(by: str = "Ina", number: int = 1) -> PeriodOpened:
    return period(BUDGET, number).model_copy(update={"by": by, "signed": None})


def opened(
    key: SigningKey, by: str = "Ina", node: str = NODE, network: str = NETWORK
) -> PeriodOpened:
    return signed_period(year(by), key, node, START + YEAR, network)


def _changed(body: PeriodOpened, **fields: str) -> PeriodOpened:
    return body.model_copy(update=fields)


def _of_another_word() -> PeriodOpened:
    """A steward's signature on a policy, put under a period."""
    said_of = policy_word(policy_digest(policy(BUDGET)), "")
    signed = Signed.of(INA, NODE, NETWORK, instant_text(START + YEAR), said_of)
    return year().model_copy(update={"signed": signed})


def _old_signature() -> PeriodOpened:
    return signed_period(year(), INA, NODE, START + YEAR - timedelta(days=2))


FORGERIES: dict[str, tuple[Callable[[], MemoryLedger], Callable[[], PeriodOpened], Code]] = {
    "unsigned": (joined, year, Code.NOT_PERMITTED),
    "unsigned, nobody joined": (over, year, Code.NOT_PERMITTED),
    "by nobody's key": (joined, lambda: opened(EVE), Code.NOT_PERMITTED),
    "by nobody's key, nobody joined": (over, lambda: opened(EVE), Code.NOT_PERMITTED),
    "by the node's key": (joined, lambda: opened(signing_key(NODE)), Code.NOT_PERMITTED),
    "by the folder's key": (joined, lambda: opened(founder(NODE)), Code.NOT_PERMITTED),
    "in another's name": (joined, lambda: opened(INA, by="Tom"), Code.NOT_PERMITTED),
    "for another node": (joined, lambda: opened(INA, node=OTHER), Code.NOT_PERMITTED),
    "for another network": (joined, lambda: opened(INA, network="other"), Code.NOT_PERMITTED),
    "for another node, nobody joined": (
        over,
        lambda: opened(founder(NODE), node=OTHER),
        Code.NOT_PERMITTED,
    ),
    "for another budget": (
        joined,
        lambda: _changed(opened(INA), budget_rho=COST.text),
        Code.NOT_PERMITTED,
    ),
    "for a shorter period": (
        joined,
        lambda: _changed(opened(INA), ends=instant_text(START + 3 * YEAR)),
        Code.NOT_PERMITTED,
    ),
    "for a later period": (
        joined,
        lambda: _changed(opened(INA), starts=instant_text(START + YEAR + timedelta(seconds=1)),
                         ends=instant_text(START + 3 * YEAR)),
        Code.NOT_PERMITTED,
    ),
    "of another word": (joined, _of_another_word, Code.NOT_PERMITTED),
    "signed long before": (joined, _old_signature, Code.EXPIRED),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_period_renews_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, forged, code = FORGERIES[name]
    with monkeypatch.context() as unprotected:
        unprotected.setattr(fold, "check_opener", lambda state, _body, _at: state)
        careless = made()
        careless.append(forged())
        assert careless.state.periods == 2, "without the rule the budget is renewed"
    ledger = made()
    before = ledger.state
    with pytest.raises(Refused) as refused:
        ledger.append(forged())
    assert refused.value.code is code
    assert ledger.state == before


def test_a_steward_who_joined_opens_a_period() -> None:
    for key, by in ((INA, "Ina"), (TOM, "Tom")):
        ledger = joined()
        ledger.append(opened(key, by))
        assert ledger.state.periods == 2
    alone = over()
    alone.append(opened(founder(NODE), "anybody"))
    assert alone.state.periods == 2


def test_a_key_that_was_ended_opens_none_nor_does_the_folders_again() -> None:
    ledger = joined()
    signed = said(ledger, INA, end_word(TOM.public.text, "left"))
    ledger.append(StewardEnded(key=TOM.public.text, by="Ina", reason="left", signed=signed))
    signed = said(ledger, INA, end_word(INA.public.text, "left"))
    ledger.append(StewardEnded(key=INA.public.text, by="Ina", reason="left", signed=signed))
    for key, by in ((TOM, "Tom"), (founder(NODE), "Ina")):
        with pytest.raises(Refused) as refused:
            ledger.append(opened(key, by))
        assert refused.value.code is Code.NOT_PERMITTED


def test_a_signature_opens_one_period_once() -> None:
    ledger = joined()
    ledger.append(opened(INA))
    with pytest.raises(Refused, match="not over"):
        ledger.append(opened(INA))
    ledger.now += YEAR
    with pytest.raises(Refused, match="not over"):
        ledger.append(opened(INA))
    ledger.now -= YEAR
    begun = replace(ledger.state, period=None, at=instant_text(ledger.now))
    ledger.state = begun
    with pytest.raises(Refused) as refused:
        ledger.append(opened(INA))
    assert refused.value.code is Code.REPLAYED


def test_neither_import_nor_policy_nor_clock_opens_a_period() -> None:
    ledger = joined()
    ended = ledger.state.period
    ledger.now += 3 * YEAR
    ledger.append(PolicySet.from_json(policy(BUDGET * 2).to_json()))
    assert ledger.state.period == ended
    assert ledger.state.periods == 1


def _history(monkeypatch: pytest.MonkeyPatch, forged: PeriodOpened) -> MemoryLedger:
    """A ledger that a modified node wrote, with a period that nobody signed for."""
    with monkeypatch.context() as unprotected:
        unprotected.setattr(fold, "check_opener", lambda state, _body, _at: state)
        ledger = over()
        ledger.append(forged)
    return ledger


@pytest.mark.parametrize("forged", [year(), opened(EVE), opened(founder(NODE), node=OTHER)])
def test_a_copy_and_whoever_reads_it_refuse_the_entry(
    forged: PeriodOpened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = _history(monkeypatch, forged)
    place = f"entry {len(ledger.lines) - 1}"
    with pytest.raises(VerificationFailed) as failed:
        replay(ledger.lines)
    assert failed.value.where == place
    store = Store.open(f"sqlite:///{tmp_path}/store.sqlite")
    store.ledgers.append(NODE, 0, ledger.lines)
    with pytest.raises(VerificationFailed) as failed:
        Budgets(store.ledgers).state(NODE)
    assert failed.value.where == place
    store.close()


@pytest.mark.parametrize("forger", [None, EVE])
def test_an_auditor_names_the_period_that_nobody_signed(
    forger: SigningKey | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = NODES[0]
    with monkeypatch.context() as unprotected:
        unprotected.setattr(fold, "check_opener", lambda state, _body, _at: state)
        network = Network()
        network.ask("0.5")
        ledger = network.ledgers[node]
        ledger.now = START + YEAR
        bare = period(network.study.rho, 1).model_copy(update={"signed": None})
        ledger.append(bare if forger is None else signed_period(bare, forger, node, START + YEAR))
        folder = network.write(tmp_path / "bundle")
    with pytest.raises(VerificationFailed) as failed:
        verify_bundle(folder, pinned=Pinned(COORDINATOR.public))
    assert failed.value.where == f"nodes/{node}/entries.jsonl: entry {ledger.state.size - 1}"
    assert "period is illegal" in str(failed.value)


def test_an_auditors_report_says_whose_key_opened_a_period(tmp_path: Path) -> None:
    network = Network()
    network.ask("0.5")
    report = verify_bundle(network.write(tmp_path / "bundle"), pinned=Pinned(COORDINATOR.public))
    for each in report.nodes:
        (said_of,) = [change for change in each.changes if change.kind == "period"]
        assert "signed by the key made with the node" in said_of.what
        assert founder(each.node).public.fingerprint in said_of.what
