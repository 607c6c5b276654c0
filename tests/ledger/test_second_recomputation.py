"""Two accountants who share no code: an error planted in either is found by the other."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coordinator.audit import agreement, second
from coordinator.audit.agreement import compare, second_recomputation
from coordinator.audit.verify import verify_bundle
from coordinator.cli.researcher import app
from privacy.accounting import conversion
from privacy.accounting.conversion import epsilon_of_rho
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.state import LedgerState
from privacy.mechanism import GaussianSum
from privacy.units import UNITS_PER_RHO, Rho
from tests.support.bundle_factory import DELTA, Network

Plant = Callable[[pytest.MonkeyPatch], None]


def asked(folder: Path) -> Path:
    network = Network()
    for epsilon in ("0.5", "0.01", "2"):
        network.ask(epsilon)
    for node in network.nodes:
        network.witness("coordinator", node)
    return network.write(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asked(tmp_path_factory.mktemp("second") / "bundle")


def test_both_agree_in_a_process_of_its_own(bundle: Path) -> None:
    report = verify_bundle(bundle)
    found = second_recomputation(bundle, report)
    assert found.checked == 3 * (3 + 3) + 3  # reservations and charges at three nodes, releases
    for node in report.nodes:
        assert found.epsilon[node.node] == pytest.approx(node.spent.epsilon, rel=1e-8)
        tight = found.tight[node.node]
        assert tight is not None
        assert 0.8 * node.spent.epsilon < tight < node.spent.epsilon


def test_mechanisms_of_every_size_cost_the_same() -> None:
    rng = random.Random(1)
    for _ in range(300):
        nodes = rng.randint(3, 200)
        event = GaussianSum(
            delta_grid=rng.randint(1, 2 ** rng.randint(1, 30)),
            nodes=nodes,
            margin=rng.randint(1, nodes - 1),
            log2_sigma=rng.randint(4, 20),
            memberships=rng.randint(1, 9),
        )
        own = second.rho_of(Counter([second.multiplier(event.to_json())]))
        assert second.same_rho(float(event.rho.fraction), own, 1)
        more = GaussianSum(**(event.to_json() | {"memberships": event.memberships + 1}))
        assert not second.same_rho(own * (1 - 1e-6), own, 1)
        if own > 2**-50:
            assert not second.same_rho(float(more.rho.fraction), own, 1)


@pytest.mark.parametrize("exponent", [-38, -30, -20, -8, -3, 0, 3, 9, 16, 22])
def test_epsilons_agree_over_sixty_powers_of_two(exponent: int) -> None:
    rho = Rho(int(Fraction(2) ** exponent * UNITS_PER_RHO))
    own = second.epsilon_of(Counter([1 / math.sqrt(2 * float(rho.fraction))]), float(DELTA))
    stated = epsilon_of_rho(rho, DELTA)
    assert second.same_epsilon(stated, own)
    assert not second.same_epsilon(stated * 1.01, own)


# errors planted in our own accounting, everywhere at once: it agrees with itself


def margin_counted(patch: pytest.MonkeyPatch) -> None:
    """All K shares counted, as if nobody colluded."""

    def rho(event: GaussianSum) -> Rho:
        variance = event.nodes * 4**event.log2_sigma
        return Rho(event.delta_grid**2 * UNITS_PER_RHO // (2 * variance) + 1)

    patch.setattr(GaussianSum, "rho", property(rho))


def rounded_down(patch: pytest.MonkeyPatch) -> None:
    """A thousandth of each charge is forgotten."""
    right = GaussianSum.rho.func
    patch.setattr(GaussianSum, "rho", property(lambda event: Rho(right(event).units * 999 // 1000)))


def sum_forgets(patch: pytest.MonkeyPatch) -> None:
    """The total counts every charge but the first."""
    right = LedgerState.charged_plan

    def charged(state: LedgerState, plan: Any, opening: tuple[int, int]) -> LedgerState:
        after = right(state, plan, opening)
        return after if state.total_charged.units or state.charged else _with_total(after, Rho.ZERO)

    patch.setattr(LedgerState, "charged_plan", charged)


def _with_total(state: LedgerState, total: Rho) -> LedgerState:
    return state.having(total_charged=total)


def conversion_off(patch: pytest.MonkeyPatch) -> None:
    """One part in a million off, which nobody would see; budgets are converted as ever."""
    right, units = conversion._epsilon_of_rho, conversion._units_of_epsilon

    def budget(*said: Any) -> int:
        with pytest.MonkeyPatch.context() as whole:
            whole.setattr(conversion, "_epsilon_of_rho", right)
            return units(*said)

    patch.setattr(conversion, "_epsilon_of_rho", lambda *said: right(*said) * (1 - 1e-6))
    patch.setattr(conversion, "_units_of_epsilon", budget)


@pytest.mark.parametrize("plant", [margin_counted, rounded_down, sum_forgets, conversion_off])
def test_an_error_in_our_accounting_is_found(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    bundle = asked(tmp_path / "bundle")
    report = verify_bundle(bundle)  # which shares the error, and holds
    with pytest.raises(VerificationFailed, match="second time"):
        second_recomputation(bundle, report)


# and errors planted in the second


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("multiplier", lambda m: math.sqrt(m["nodes"]) * 2 ** m["log2_sigma"] / m["delta_grid"]),
        ("rho_of", lambda charges: sum(count / (z * z) for z, count in charges.items())),
        ("epsilon_of", lambda *_: 2.0),
        ("tight_of", lambda *said: said[2] * 1.01),
    ],
)
def test_an_error_in_the_second_is_found(
    name: str, wrong: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = verify_bundle(bundle)
    monkeypatch.setattr(second, name, wrong)
    with pytest.raises(VerificationFailed):
        compare(second.recompute(bundle), report)


def test_ledgers_or_studies_that_one_of_them_did_not_read_are_found(bundle: Path) -> None:
    report = verify_bundle(bundle)
    found = second.recompute(bundle)
    node, figures = next(iter(found["nodes"].items()))
    with pytest.raises(VerificationFailed, match="other ledgers"):
        compare(found | {"nodes": {node: figures}}, report)
    others = found["nodes"] | {node: figures | {"studies": {}}}
    with pytest.raises(VerificationFailed, match="other studies"):
        compare(found | {"nodes": others}, report)


def test_what_a_restored_ledger_forfeits_is_beyond_every_charge(bundle: Path) -> None:
    """Its total is larger than its questions' and never smaller."""
    report = verify_bundle(bundle)
    found = second.recompute(bundle)
    node, figures = next(iter(found["nodes"].items()))
    less = figures | {"rho": figures["rho"] / 2, "epsilon": figures["epsilon"] / 2, "tight": None}
    for own, holds in ((less, False), (less | {"forfeited": True}, True)):
        changed = found | {"nodes": found["nodes"] | {node: own}}
        if holds:
            assert compare(changed, report).checked > 0
        else:
            with pytest.raises(VerificationFailed, match="second time"):
                compare(changed, report)
    more = figures | {"rho": figures["rho"] * 2, "forfeited": True}
    with pytest.raises(VerificationFailed, match="second time"):
        compare(found | {"nodes": found["nodes"] | {node: more}}, report)


def test_without_the_software_one_line_says_how_to_get_it(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "second.py"
    program.write_text(f"raise SystemExit({second.NO_SOFTWARE})")
    monkeypatch.setattr(agreement, "_PROGRAM", program)
    with pytest.raises(BadInput, match="not installed"):
        second_recomputation(bundle, verify_bundle(bundle))
    program.write_text("raise SystemExit('out of disk')")
    with pytest.raises(VerificationFailed, match="out of disk"):
        second_recomputation(bundle, verify_bundle(bundle))


def test_the_command_tells_both_figures(bundle: Path) -> None:
    line = ["audit", "verify", str(bundle), "--second"]
    shown = CliRunner().invoke(app, line, env={"NO_COLOR": "1"}, catch_exceptions=False)
    assert shown.exit_code == 0, shown.stderr
    assert "dp-accounting" in shown.stdout
    assert "21 figures" in shown.stdout
