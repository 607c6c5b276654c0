"""Members charged one by one, over a network: who has used it up leaves, and nobody is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from coordinator.audit.verify import verify_bundle
from coordinator.store.facts import RunFacts
from node.balances import Balances
from node.cli import app
from node.member.choices import Choices, Evidence
from privacy.contract.messages import Ask
from privacy.errors import BadInput, Code, Refused
from privacy.ledger.entry import Commit, Reserve
from privacy.units import Rho
from tests.support import net_data
from tests.support.net_bundle import bundle
from tests.support.network import Exchange, Network

NODE = "ms-league"
# So large that noise is below one half: what is counted is who was in it.
RICH = {"epsilon_allowance": "1000000", "yearly_epsilon": "100000", "ceiling_epsilon": "1000000"}
EACH = "30000"  # three questions of a member's bound
COUNT = {"kind": "count"}
ALS = "condition == 'als'"


def counted(network: Network, cohort: str = "", analysis: Any = COUNT) -> int:
    run = network.ask(analysis, cohort, epsilon=EACH)
    [estimate] = network.estimates(run).values()
    return round(estimate)


def consenting(network: Network, node: str = NODE) -> pd.DataFrame:
    people = network.shape.people(node)
    return people[people["consent"] == "yes"]


def member_of(network: Network, where: str) -> str:
    return str(consenting(network).query(where)["member"].iloc[0])


def spent(network: Network, member: str) -> int:
    found = network.nodes[NODE].parts.balances.of(member)
    assert found is not None
    return found.spent.units


def costs(network: Network, node: str = NODE) -> list[int]:
    bodies = network.nodes[node].bodies
    return [Rho.parse(body.rho).units for body in bodies if isinstance(body, Commit)]


def test_only_those_who_were_asked_pay_and_leave(make: Callable[..., Network]) -> None:
    network = make(**RICH)
    everyone = len(network.pooled)
    als = len(network.pooled.query(ALS))
    other = "condition != 'als'"
    for number in range(3):
        assert counted(network, f"{ALS} and age > 0.{number}") == als
    assert counted(network, "age > 0.7") == everyone - als, "they have left, silently"
    assert counted(network, f"{other} and age > 0.5") == everyone - als
    one, another = member_of(network, ALS), member_of(network, other)
    assert spent(network, one) == sum(costs(network)[:3])
    assert spent(network, another) == sum(costs(network)[3:])
    report = verify_bundle(bundle(network, Path(network.nodes[NODE].home.root) / "bundle"))
    assert all(each.spent.rho.units == sum(costs(network)) for each in report.nodes)
    for each in report.nodes:
        assert each.promise is not None
        assert each.promise.to_json() == network.nodes[each.node].steward.promise()
        assert "epsilon 1000000, as if everybody were in each" in " ".join(each.promise.words)


def test_a_question_beyond_a_member_s_bound_is_refused_in_public(
    make: Callable[..., Network],
) -> None:
    network = make(**RICH)
    run = network.ask(COUNT, epsilon="100001")
    assert run.code == Code.QUESTION_LIMIT
    assert not network.nodes[NODE].kinds("reserve")


def public(network: Network) -> list[Any]:
    """All that a ledger says, without what is drawn at random."""
    drawn = {"plan", "question", "masked_sha256", "release", "nonce", "roster"}
    return [
        {name: value for name, value in body.to_json().items() if name not in drawn}
        for body in network.nodes[NODE].bodies
    ]


def outside(network: Network) -> list[Any]:
    """Sizes, askings and codes on the wire, and what became of every run."""
    asks = {Ask.RESERVE, Ask.CONTRIBUTE, Ask.SIGN_SURVIVORS, Ask.REVEAL, Ask.OUTCOME}
    mine = [each for each in network.wire.log if each.node == NODE and each.ask in asks]
    return sorted((each.ask.value, each.reply is None, sizes(each)) for each in mine)


def sizes(each: Exchange) -> list[int]:
    found = [packet for packet in (each.request, each.reply) if packet is not None]
    return [len(packet.blob) for packet in found]


def worlds(make: Callable[..., Network]) -> tuple[Network, Network]:
    """The same network twice; in one of them nobody at one node has a value to pay for."""
    frames = {node: net_data.members(7 + at, 30) for at, node in enumerate(net_data.NODES)}
    without = {**frames, NODE: frames[NODE].assign(condition="mood")}
    symptoms = {node: net_data.symptoms(each, 3) for node, each in frames.items()}
    first = make(**RICH, frames=frames, symptoms=symptoms)
    return first, make(**RICH, frames=without, symptoms=symptoms)


def ask_until_all_have_left(network: Network) -> list[RunFacts]:
    cohorts = [f"{ALS} and age > 0.{number}" for number in range(5)]
    return [network.ask(COUNT, cohort, epsilon=EACH) for cohort in cohorts]


def differs(make: Callable[..., Network]) -> bool:
    """Does anything outside tell that members of one node were charged, and used it up?"""
    pair = worlds(make)
    runs = [ask_until_all_have_left(each) for each in pair]
    codes = [[(run.code, run.state) for run in each] for each in runs]
    return (
        codes[0] != codes[1]
        or public(pair[0]) != public(pair[1])
        or outside(pair[0]) != outside(pair[1])
    )


def test_nothing_outside_depends_on_balances(make: Callable[..., Network]) -> None:
    assert not differs(make)


def test_a_node_that_refuses_when_nobody_is_left_is_found(
    make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant of the test above."""
    honest = Balances._begin

    def leaking(self: Balances, charge: Any) -> None:
        honest(self, charge)
        with self._records.snapshot() as cursor:
            if cursor.execute("SELECT count(*) FROM sitting_out").fetchone()[0]:
                raise Refused(Code.BUDGET_EXCEEDED)

    monkeypatch.setattr(Balances, "_begin", leaking)
    assert differs(make)


def test_balances_are_in_no_message_and_no_ledger(make: Callable[..., Network]) -> None:
    """Of a sum, of which each member pays another part."""
    network = make(**RICH)
    network.ask({"kind": "sum", "column": "score"}, epsilon=EACH)
    figures = {spent(network, str(member)) for member in consenting(network)["member"]} - {0}
    assert len(figures) > 10
    network.settle()
    packets = [p for x in network.wire.log for p in (x.request, x.reply) if p is not None]
    said = b"".join(packet.header + packet.blob for packet in packets)
    said += b"".join(network.nodes[NODE].service.ledger.lines())
    for units in figures - set(costs(network)):
        assert str(units).encode() not in said
        assert Rho(units).text.encode() not in said


def test_a_retry_is_paid_and_a_restart_forgets_nothing(make: Callable[..., Network]) -> None:
    """A lost answer, another attempt, and the node's process started again in between."""
    network = make(**RICH, nodes=net_data.MORE_NODES, t_drop=1)
    one = member_of(network, ALS)
    counted(network, ALS)
    network.nodes[NODE].restart()
    network.settle()
    assert spent(network, one) == sum(costs(network))
    counted(network, f"{ALS} and age > 0.1")
    assert spent(network, one) == sum(costs(network))


def test_rounds_of_a_run_are_paid_as_they_are_used(make: Callable[..., Network]) -> None:
    """A search in rounds: whoever it asks pays in every round, and no more than the run costs."""
    network = make(**RICH)
    run = network.ask({"kind": "quantiles", "column": "age", "q": ["0.5"]}, ALS, epsilon=EACH)
    assert run.release is not None, (run.code, run.fields)
    [reserved] = [body for body in network.nodes[NODE].bodies if isinstance(body, Reserve)]
    assert len(reserved.rounds) > 1
    paid = spent(network, member_of(network, ALS))
    assert 0 < paid <= sum(costs(network)) <= Rho.parse(reserved.rho).units
    assert spent(network, member_of(network, "condition != 'als'")) == 0


def test_a_member_sees_their_own_balance_and_nobody_else_s(make: Callable[..., Network]) -> None:
    network = make(**RICH)
    parts = network.nodes[NODE].parts
    choices = Choices(parts, parts.home.diseases(), Evidence(parts.service.ledger))
    asked, other = member_of(network, ALS), member_of(network, "condition != 'als'")
    counted(network, ALS)
    shown = {member: choices.page(member)["own"] for member in (asked, other)}
    assert shown[other]["spent"]["epsilon"] == 0
    assert 29_000 < shown[asked]["spent"]["epsilon"] < 31_000
    assert shown[asked]["ever"] == shown[asked]["spent"]
    counted(network, f"{ALS} and age > 0.1")
    assert choices.page(other)["own"] == shown[other]


def test_a_steward_signs_that_somebody_is_new(make: Callable[..., Network], tmp_path: Path) -> None:
    network = make(**RICH)
    node = network.nodes[NODE]
    counted(network, ALS)
    people = network.shape.people(NODE)
    newcomer = people.iloc[[0]].assign(member="somebody-new", condition="als", consent="yes")
    both = pd.concat([people, newcomer])
    node.steward.import_data(net_data.write(tmp_path / "more", both, network.shape.rows(NODE)))
    node.parts.balances.settle()
    assert spent(network, "somebody-new") == sum(costs(network))
    run = CliRunner().invoke(app, ["new-person", "somebody-new", "--dir", "."])
    assert run.exit_code != 0, "no node lives there"
    node.steward.new_person("somebody-new", "file 7")
    assert spent(network, "somebody-new") == 0
    with pytest.raises(BadInput):
        node.steward.new_person("somebody-new")


def test_policies_without_a_ceiling_show_no_balance(network: Network) -> None:
    assert network.nodes[NODE].parts.balances.of(member_of(network, ALS)) is None
