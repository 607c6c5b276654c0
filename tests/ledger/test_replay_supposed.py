"""What would have been refused under other terms: held to a second, naive count."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from datetime import timedelta
from fractions import Fraction
from functools import partial
from typing import Any

import pytest

from coordinator.api.verifying import Checked
from coordinator.audit.replay import replay, replay_bundle
from coordinator.audit.replay_order import in_order
from coordinator.audit.replayed import Replayed
from coordinator.audit.supposition import Limit, Supposition, supposition
from coordinator.audit.verify import Verified, verified
from privacy.accounting.conversion import epsilon_of_rho, parse_budget, rho_of_epsilon
from privacy.contract.policy import Preset
from privacy.errors import BadInput
from privacy.ledger.entry import Aborted, Approval, Mechanism, Released
from privacy.ledger.fold import step, supposed_step
from privacy.ledger.state import LedgerState
from privacy.mechanism import GaussianSum
from privacy.units import UNITS_PER_RHO, Rho
from tests.support.bundle_factory import DELTA, NODES, Network
from tests.support.ledger_factory import (
    COST,
    SMALL,
    MemoryLedger,
    approval,
    commit,
    digest_of,
    fresh_ledger,
    random_ledger,
    reservation,
    reserve,
)

EPSILONS = ("0.05", "0.2", "0.4", "0.6", "0.9", "1.5", "3", "9")


def replayed(ledger: MemoryLedger, suppose: Supposition) -> Replayed:
    return replay({ledger.node: lambda: iter(ledger.entries)}, suppose)


def units(rational: str) -> int:
    return int(Fraction(rational) * UNITS_PER_RHO)


def naive(lines: list[bytes], limits: dict[str, int]) -> tuple[set[str], Counter[str]]:
    """Which plans one ledger would have refused, and what each study would have been charged.

    From the lines' JSON alone, with integers; knows nothing of the ledger's own rules.
    """
    plans: dict[str, dict[str, Any]] = {}
    refused: set[str] = set()
    quota: dict[str, int] = {}
    charged: Counter[str] = Counter()
    in_period, budget = 0, 0
    for line in lines:
        body = json.loads(line)["body"]
        match body["kind"]:
            case "period":
                in_period, budget = 0, limits.get("period", units(body["budget_rho"]))
            case "approval":
                quota[body["study"]] = limits.get("study", units(body["rho"]))
            case "reserve":
                cost, study = units(body["rho"]), body["study"]
                held = defaultdict(int)
                for each in plans.values():
                    held[each["study"]] += each["cost"] - each["charged"]
                fits = (
                    cost <= limits.get("question", cost)
                    and charged[study] + held[study] + cost <= quota[study]
                    and in_period + sum(held.values()) + cost <= budget
                )
                if fits:
                    plans[body["plan"]] = {"study": study, "cost": cost, "charged": 0}
                else:
                    refused.add(body["plan"])
            case "commit" if body["plan"] in plans:
                cost, plan = units(body["rho"]), plans[body["plan"]]
                plan["charged"] += cost
                charged[plan["study"]] += cost
                in_period += cost
            case "released" | "aborted" | "expired":
                plans.pop(body["plan"], None)
    return refused, charged


@pytest.mark.parametrize("seed", range(40))
def test_terms_that_change_nothing_refuse_nothing(seed: int) -> None:
    ledger = random_ledger(seed)
    found = replayed(ledger, Supposition())
    assert found.refused == found.admitted == ()
    assert found.nodes[0].total.then == found.nodes[0].total.supposed == ledger.state.total_charged
    assert {study: sums.supposed for study, sums in found.nodes[0].studies} == dict(
        ledger.state.charged
    )


@pytest.mark.parametrize("seed", range(10))
def test_a_supposed_step_is_a_step_without_its_hash(seed: int) -> None:
    state, supposed = LedgerState(), LedgerState()
    for entry in random_ledger(seed).entries:
        state = step(state, entry)
        supposed = supposed_step(supposed, entry.body, entry.at)
        assert supposed.having(head=state.head) == state


def test_a_replay_of_one_copy_is_made_once(tmp_path: Any) -> None:
    found = verified(asked(["0.5", "0.2"]).write(tmp_path / "bundle"))
    checked, suppose = Checked(found, found.report.made_at), supposition(["period=0.3"])
    first = checked.replayed(suppose)
    assert first.refused
    assert first == replay_bundle(found, suppose)
    assert checked.replayed(supposition(["period=0.3"])) is first
    assert checked.replayed(supposition(["period=9"])).refused == ()


@pytest.mark.parametrize("seed", range(60))
def test_limits_refuse_what_a_naive_count_refuses(seed: int) -> None:
    rng = random.Random(seed)
    ledger = random_ledger(1000 + seed, steps=60)
    named = rng.sample(["period", "study", "question"], rng.randint(1, 3))
    texts = {name: rng.choice(EPSILONS) for name in named}
    limits = {name: rho_of_epsilon(parse_budget(text), DELTA).units for name, text in texts.items()}
    found = replayed(ledger, supposition([f"{name}={text}" for name, text in texts.items()]))
    refused, charged = naive(ledger.lines, limits)
    assert {each.plan for each in found.refused} == refused
    assert {study: sums.supposed.units for study, sums in found.nodes[0].studies} == {
        study: charged[study] for study, _ in found.nodes[0].studies
    }


def test_some_of_the_limits_above_do_refuse() -> None:
    found = replayed(random_ledger(3, steps=60), supposition(["question=0.05"]))
    assert len(found.refused) == found.questions > 3
    first = found.refused[0]
    assert (first.why, first.needed >= COST) == ("question_limit", True)


def asked(epsilons: list[str]) -> Network:
    network = Network()
    for epsilon in epsilons:
        network.ask(epsilon)
    return network


def test_what_one_organisation_refuses_is_charged_by_none(tmp_path: Any) -> None:
    found = verified(asked(["0.5", "0.2", "0.5", "0.2"]).write(tmp_path / "bundle"))
    outcome = replay_bundle(found, supposition(["period=0.6"], nodes=[NODES[1]]))
    assert [each.node for each in outcome.refused] == [NODES[1]] * len(outcome.refused)
    assert {each.why for each in outcome.refused} == {"budget_exceeded"}
    assert {node.total.supposed for node in outcome.nodes} == {
        outcome.nodes[0].total.then - _sum(outcome)
    }
    assert [node.refused for node in outcome.nodes] == [
        len(outcome.refused) if node.node == NODES[1] else 0 for node in outcome.nodes
    ]
    # .5 fits, .2 fits beside it (rho adds up, not epsilon), the second .5 does not
    assert [each.seq for each in outcome.refused] == _reserves(found)[2:3]


def _sum(outcome: Replayed) -> Rho:
    return Rho.total(each.needed for each in outcome.refused)


def _reserves(found: Verified) -> list[int]:
    lines = (found.context.bundle.folder / f"nodes/{NODES[1]}/entries.jsonl").read_bytes()
    entries = [json.loads(line) for line in lines.splitlines()]
    return [each["seq"] for each in entries if each["body"]["kind"] == "reserve"]


def test_a_question_refused_for_want_of_budget_may_fit_a_higher_limit(tmp_path: Any) -> None:
    network = Network()
    less = rho_of_epsilon(parse_budget("3.2"), DELTA).text
    third = network.ledgers[NODES[2]]
    given = third.entries[-1].body
    assert isinstance(given, Approval)
    third.append(given.model_copy(update={"rho": less}))
    network.ask("3")
    envelope, plan = network._plan("1")
    for node in NODES[:2]:  # the third has not enough left, and says so
        network.ledgers[node].append(reservation(envelope.digest, plan, "too dear"))
    for node in NODES[:2]:
        network.ledgers[node].append(Aborted(plan=envelope.digest, code="study_budget_exceeded"))
    network.tick()
    network.ask("0.5")
    found = verified(network.write(tmp_path / "bundle"))
    higher = replay_bundle(found, supposition(["period=8", "study=8"]))
    assert [each.plan for each in higher.admitted] == [envelope.digest]
    node = higher.nodes[0]
    assert node.total.supposed == node.total.then + higher.admitted[0].needed
    same = replay_bundle(found, supposition(["question=6"]))
    assert (same.admitted, same.refused) == ((), ())


@pytest.mark.parametrize(("margin", "times"), [("1", 1), ("all", 2), ("0", Fraction(2, 3))])
def test_another_margin_prices_the_same_noise_otherwise(
    tmp_path: Any, margin: str, times: Fraction
) -> None:
    """K - t honest shares protect: with t = 2 of 3 one does, and the loss is doubled."""
    found = verified(asked(["0.5", "0.3"]).write(tmp_path / "bundle"))
    total = replay_bundle(found, supposition(margin=margin)).nodes[0].total
    assert total.supposed.units == pytest.approx(float(total.then.units * times), rel=1e-9)


def test_memberships_and_noise_scale_the_loss(tmp_path: Any) -> None:
    found = verified(asked(["0.5"]).write(tmp_path / "bundle"))
    twice = replay_bundle(found, supposition(memberships=2)).nodes[0].total
    assert twice.supposed.units == pytest.approx(4 * twice.then.units, rel=1e-9)
    quiet = replay_bundle(found, supposition(noise="2")).nodes[0].total
    assert quiet.supposed.units == pytest.approx(quiet.then.units / 4, rel=1e-4)


def test_presets_refuse_by_their_rules_and_name_them(tmp_path: Any) -> None:
    found = verified(asked(["0.5"]).write(tmp_path / "bundle"))
    careful = replay_bundle(found, supposition(preset_name="careful"))
    assert [each.why for each in careful.refused] == ["purpose"]
    assert replay_bundle(found, supposition(preset_name="open")).refused[0].why == "min_cohort"


def test_a_preset_that_allows_the_study_counts_looks_and_limits(tmp_path: Any) -> None:
    changes = {"min_cohort": 50, "permit": "EC 1", "publishes": True, "returns_results": True}
    changes["variables"] = ("members.treatment",)
    network = Network(study_changes=changes)
    for _ in range(2):
        network.tick(15 * 86400)
        network.ask("0.15")
    network.ask("0.25")
    found = verified(network.write(tmp_path / "bundle"))
    outcome = replay_bundle(found, Supposition(preset=Preset.CAREFUL))
    assert [each.why for each in outcome.refused] == ["question_limit"]
    assert outcome.looks == 0  # counts need none


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limits": ["period"]},
        {"limits": ["period=none"]},
        {"limits": ["year=1"]},
        {"limits": ["study=-1"]},
        {"limits": ["study=1", "study=2"]},
        {"preset_name": "own"},
        {"margin": "-1"},
        {"memberships": 0},
        {"noise": "0"},
        {"noise": "2000"},
    ],
)
def test_what_cannot_be_supposed_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        supposition(**options)


def test_an_organisation_that_is_not_there_is_refused(tmp_path: Any) -> None:
    found = verified(asked(["0.1"]).write(tmp_path / "bundle"))
    with pytest.raises(BadInput):
        replay_bundle(found, supposition(["period=1"], nodes=["nowhere"]))


def test_words_say_what_is_supposed() -> None:
    suppose = supposition(["study=none", "period=1"], margin="all", memberships=2, noise="0.5")
    assert suppose.words == (
        "study: no limit of its own",
        "period: epsilon at most 1",
        "a margin of all but one organisation that collude or drop out",
        "2 memberships of one person",
        "noise multiplied by 0.5",
    )
    assert suppose.limit(Limit.STUDY, DELTA) == (True, None)


# several organisations, question after question, held to a naive count of all together


def naive_network(
    histories: dict[str, list[tuple[str, int]]], limits: dict[str, int]
) -> tuple[set[str], dict[str, int]]:
    """Plans that one organisation at least cannot pay, asked in order; and who paid how much."""
    spent = dict.fromkeys(histories, 0)
    refused = set()
    for (plan, _), *_ in zip(*histories.values(), strict=True):
        costs = {node: dict(history)[plan] for node, history in histories.items()}
        if all(spent[node] + cost <= limits[node] for node, cost in costs.items()):
            spent = {node: spent[node] + costs[node] for node in histories}
        else:
            refused.add(plan)
    return refused, spent


@pytest.mark.parametrize("seed", range(30))
def test_a_network_answers_only_what_everybody_can_pay(seed: int) -> None:
    """Three ledgers written one after the other within one second, in any order of nodes."""
    rng = random.Random(seed)
    ledgers = {node: fresh_ledger(node, COST * 900, {"als": COST * 900}) for node in "abc"}
    histories: dict[str, list[tuple[str, int]]] = {node: [] for node in ledgers}
    for number in range(25):
        mechanism = Mechanism.of(
            GaussianSum(delta_grid=rng.randrange(2**14, 2**18), nodes=3, margin=1)
        )
        for node in rng.sample("abc", 3):
            body = reserve(
                f"p{number}", "als", ledgers[node].now + timedelta(minutes=9), mechanism=mechanism
            )
            ledgers[node].append(body)
        for node in rng.sample("abc", 3):
            ledgers[node].append(commit(body.plan, 0, 0, b"x" * 8, mechanism))
            ledgers[node].append(Released(plan=body.plan, release=digest_of(f"r{number}")))
            histories[node].append((body.plan, mechanism.event.rho.units))
            ledgers[node].now += timedelta(seconds=rng.choice([0, 0, 1]))
    whole = sum(cost for _, cost in histories["a"])
    epsilon = f"{epsilon_of_rho(Rho(whole * rng.randrange(1, 12) // 12), DELTA):.3f}"
    only = rng.choice(["a", "b", "c"])
    limit = rho_of_epsilon(parse_budget(epsilon), DELTA).units
    suppose = supposition([f"period={epsilon}"], nodes=[only])
    found = replay({n: partial(iter, ledger.entries) for n, ledger in ledgers.items()}, suppose)
    limits = dict.fromkeys(ledgers, whole) | {only: limit}
    refused, spent = naive_network(histories, limits)
    assert refused
    assert {each.plan for each in found.refused} == refused
    assert {each.node for each in found.refused} == {only}
    assert {node.node: node.total.supposed.units for node in found.nodes} == spent


def test_ledgers_whose_clocks_disagree_are_read_with_causes_before_effects() -> None:
    late, early = fresh_ledger("a", COST * 9, {"als": COST * 9}), fresh_ledger("b", COST * 9, {})
    late.now += timedelta(hours=1)
    body = reserve("p", "als", late.now + timedelta(hours=1))
    for ledger in (late, early):
        if ledger is early:
            ledger.append(approval("als", COST * 9))
        ledger.append(body)
        ledger.append(commit(body.plan, 0, 0, b"x", SMALL))
    order = [
        (name, entry.body.kind)
        for name, entry in in_order(
            {each.node: partial(iter, each.entries) for each in (late, early)}, {body.plan: 2}
        )
    ]
    assert order.index(("a", "reserve")) < order.index(("b", "commit"))
    stuck = list(in_order({"b": partial(iter, early.entries)}, {body.plan: 2}))
    assert len(stuck) == len(early.entries)
