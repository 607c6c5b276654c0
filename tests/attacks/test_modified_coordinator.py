"""A modified coordinator with its real key, from the first lie to the last, as one story.

It forges studies, raises limits, replays, asks different nodes different questions, claims
drop-outs to unmask one node, ships code and rewinds its log. Against nodes that take its word it
learns a member; against the real ones nothing, and an auditor sees every attempt.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coordinator.audit.verify import verify_bundle
from coordinator.cli.researcher import app
from coordinator.node_link import Body, Declined
from privacy.checkpoint import LOG
from privacy.contract.canonical import canonical_bytes
from privacy.contract.messages import Ask
from privacy.contract.packet import Packet
from privacy.contract.plan import Plan
from privacy.contract.signing import Envelope
from privacy.contract.study import Study
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.time import instant_text
from privacy.errors import Code, VerificationFailed
from privacy.ledger.attempt_entry import ATTEMPT_WORDS, Attempted, AttemptRefused
from privacy.ledger.entry import Commit, Released, Reserve
from privacy.ledger.history_entry import HistoryBroken
from privacy.log import LogEntry
from tests.support.net_bundle import bundle
from tests.support.net_steps import Steps, codes
from tests.support.net_steps import field as signed
from tests.support.network import COORDINATOR, Network
from tests.support.rewinding import cut_log

TARGET, OTHER, THIRD = "als-union", "mood-circle", "ms-league"
ASKED = {"kind": "count", "by": ["treatment"]}
SECRET = 1  # whether one member of the target takes part


# first: nodes that take the coordinator's word


@dataclass
class Credulous:
    """A node without a ledger, a gate or peers: it answers what it is told is allowed."""

    value: int
    noise: int = 40
    ran: list[str] = field(default_factory=list)

    def answer(self, study: dict[str, Any], number: int) -> int:
        """The count, with a noise that the study's limit sets; drawn anew each time."""
        width = int(self.noise / study["epsilon"])
        return self.value + (number * 7919 % (2 * width + 1) - width if width else 0)

    def masked(self, mask: int) -> int:
        return self.value + mask

    def reveal(self, mask: int, _kind: str) -> int:
        return mask  # the self-mask's seed, and the mask key: whatever is asked for

    def run(self, code: str) -> None:
        self.ran.append(str(eval(code)))  # noqa: S307 - the unprotected stub


def test_against_nodes_that_take_its_word_the_coordinator_wins() -> None:
    nodes = {name: Credulous(SECRET if name == TARGET else 0) for name in (TARGET, OTHER, THIRD)}
    target = nodes[TARGET]
    forged = {"epsilon": 10**6}  # a study that nobody approved, with a limit of its own
    assert target.answer(forged, 1) == SECRET
    allowed = {"epsilon": 1}
    asked = [target.answer(allowed, number) for number in range(4 * 81)]
    assert round(sum(asked) / len(asked)) == SECRET, "replayed until the noise is gone"
    questions = {TARGET: "that one member", OTHER: "nobody", THIRD: "nobody"}
    assert sum(nodes[name].value for name in questions) == SECRET, "each its own question"
    mask = 12345
    opened = target.masked(mask) - target.reveal(mask, "lost")
    assert opened == SECRET, "declared lost after it had answered"
    target.run("6 * 7")
    assert target.ran == ["42"]
    log = ["asked for one member", "a harmless question"]
    assert log[1:] == ["a harmless question"], "and nobody knows what stood there before"


# then: the nodes


@dataclass
class Attempt:
    """What the coordinator tried, and the signed refusals it got for it."""

    name: str
    plan: str
    refusals: dict[str, Code]


@dataclass
class Modified:
    """The coordinator of a network, from now on by somebody else's program."""

    network: Network
    attempts: list[Attempt] = field(default_factory=list)

    def reserve(self, name: str, plan: dict[str, Any], nodes: tuple[str, ...] = ()) -> None:
        envelope = Envelope.seal("plan", plan, COORDINATOR)
        wish = {node: Body({"plan": envelope.to_json()}) for node in nodes or self.network.nodes}
        answers = self.network.link.ask(Ask.RESERVE, wish, 1.0)
        refused = {n: a.code for n, a in answers.items() if isinstance(a, Declined)}
        assert set(refused) == set(wish), f"{name}: somebody was taken in"
        self.attempts.append(Attempt(name, envelope.digest, refused))

    def forge_a_study(self) -> None:
        forged = Study.from_json({**self.network.study.to_json(), "epsilon_allowance": "1000"})
        step = StudyStep.of(forged, Act.PROPOSE, Signer.COORDINATOR, instant_text(self.now))
        offer = {
            "study": Envelope.seal("study", forged.to_json(), COORDINATOR).to_json(),
            "proposals": [step.sealed(COORDINATOR).to_json()],
        }
        self.network.link.ask(
            Ask.OFFER_STUDY, {node: Body(offer) for node in self.network.nodes}, 1.0
        )
        question = self.network.question(ASKED, study_digest=forged.digest, epsilon="900")
        self.reserve("forged study", self.network.plan(question, study=forged).plan.to_json())

    def raise_limits(self) -> None:
        honest = self.network.plan(self.network.question(ASKED))
        self.reserve("more attempts", {**honest.plan.to_json(), "max_attempts": 50})

    @property
    def now(self) -> Any:
        return self.network.clock()


def named(network: Network, folder: Path) -> dict[str, set[Attempted]]:
    """What the auditor's report says that each organisation refused."""
    report = verify_bundle(bundle(network, folder))
    for node in report.nodes:
        assert all(ATTEMPT_WORDS[each.what] in each.words for each in node.refused)
    return {node.node: {each.what for each in node.refused} for node in report.nodes}


def spent(network: Network) -> set[tuple[int, int]]:
    return {network.spent(node) for node in network.nodes}


def ledger(network: Network, node: str, kind: type) -> list[Any]:
    return [body for body in network.nodes[node].bodies if isinstance(body, kind)]


def asked_outside_the_log(network: Network, node: str) -> dict[str, str]:
    """Plans that this node was asked for and that stand in no log, with what it answered.

    An organisation hands its auditor the list of its requests; the log is in every bundle.
    """
    logged = {LogEntry.from_bytes(line).statement for line in network.store.log.lines()}
    requests = network.nodes[node].parts.desk.requests("")
    return {each.plan: each.code for each in requests if each.plan not in logged}


def test_a_forged_study_and_raised_limits_are_refused_and_stand_in_no_log(
    network: Network, tmp_path: Path
) -> None:
    coordinator = Modified(network)
    coordinator.forge_a_study()
    coordinator.raise_limits()
    assert spent(network) == {(0, 0)}
    said = [set(each.refusals.values()) for each in coordinator.attempts]
    assert said == [{Code.NOT_APPROVED}, {Code.PLAN_MISMATCH}]
    for node in network.nodes:
        seen = asked_outside_the_log(network, node)
        for each in coordinator.attempts:
            assert seen[each.plan] == each.refusals[node].value, each.name
        entered = {each.evidence for each in ledger(network, node, AttemptRefused)}
        assert entered == {each.plan for each in coordinator.attempts}
    network.settle()
    assert named(network, tmp_path / "bundle") == {
        node: {Attempted.STUDY, Attempted.PLAN} for node in network.nodes
    }


def test_a_question_asked_twice_is_answered_once_and_both_plans_are_seen(
    network: Network, tmp_path: Path
) -> None:
    question = network.question(ASKED)
    first = network.plan(question)
    assert network.run(first).release
    charged = spent(network)
    second = Steps(network, network.plan(question))
    assert codes(second.reserve()) == {Code.REPLAYED}
    again = [x.request for x in network.wire.asked(Ask.CONTRIBUTE, TARGET)]
    for packet in again:  # the very messages, sent once more
        network.nodes[TARGET].service.handle_all([packet])
    assert spent(network) == charged
    network.settle()
    with network.store.database.write() as session:  # it logs what it cannot hide
        from coordinator.store.log import log_statement
        from coordinator.store.tables import PlanRow
        from privacy.log import Logged

        envelope = second.compiled.envelope
        session.add(PlanRow(digest=envelope.digest, envelope=envelope.to_bytes()))
        log_statement(session, Logged.PLAN, envelope.digest, "als-progression")
    folder = tmp_path / "bundle"
    refused = named(network, folder)
    assert refused == {node: {Attempted.REPLAY} for node in network.nodes}
    assert verify_bundle(folder).plans == 2
    plans = [json.loads(path.read_bytes())["body"] for path in (folder / "plans").iterdir()]
    questions = [Plan.from_json(plan).question_envelope.digest for plan in plans]
    assert len(questions) == 2
    assert len(set(questions)) == 1, "two plans of one signed question"
    assert len(ledger(network, TARGET, Reserve)) == 1, "and one answer"


def test_different_questions_to_different_nodes_open_nothing_and_are_charged_apart(
    network: Network, tmp_path: Path
) -> None:
    one, other = (
        Steps(network, network.plan(network.question({"kind": "count", "by": by})))
        for by in ([], ["condition"])
    )
    for steps in (one, other):
        network.queue(steps.compiled)
    assert codes(one.reserve([TARGET])) == {None}
    assert codes(other.reserve([OTHER, THIRD])) == {None}
    keys = one.keys()
    mine = one.contribute(one.attempt(keys), keys, [TARGET])
    theirs = other.contribute(other.attempt(keys), keys, [OTHER, THIRD])
    claims = {**signed(mine, "claim"), **signed(theirs, "claim")}
    assert len(claims) == 3, "each answered its own"
    for steps, nodes in ((one, [TARGET]), (other, [OTHER, THIRD])):
        answers = steps.sign(steps.attempt(keys), claims, nodes)
        assert None not in codes(answers), "no list is signed over two questions"
        assert None not in codes(steps.reveal(steps.attempt(keys), [], nodes))
    network.settle()
    refused = named(network, tmp_path / "bundle")
    both = {Attempted.CLAIMS, Attempted.OPENING}
    assert refused == dict.fromkeys(network.nodes, both)
    report = verify_bundle(tmp_path / "bundle")
    assert (report.plans, report.releases) == (2, 0)
    reserved = {node: [b.plan for b in ledger(network, node, Reserve)] for node in network.nodes}
    assert reserved == {TARGET: [one.digest], OTHER: [other.digest], THIRD: [other.digest]}
    assert set(one.plan.participants) == set(network.nodes), "its plan names nodes never asked"
    for found in report.nodes:
        assert found.spent.rho.units > 0, "charged, and nothing was released"


def test_a_node_that_answered_and_is_called_lost_is_not_unmasked(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    nodes = ("als-union", "mood-circle", "ms-league", "stroke-club", "ataxia-group")
    network = make(nodes=nodes, t_drop=1)
    steps = Steps(network, network.plan(network.question(ASKED)))
    network.queue(steps.compiled)
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    claims = signed(steps.contribute(attempt, keys), "claim")
    everybody = sorted(network.nodes)
    without = {node: claim for node, claim in claims.items() if node != TARGET}
    lists = signed(steps.sign(attempt, claims, everybody[:4]), "list")
    late = steps.sign(attempt, without, [everybody[4]])
    second = steps.sign(attempt, without, [n for n in everybody[:4] if n != TARGET])
    assert None not in codes(second), "who signed one list signs no other"
    shares = steps.reveal(attempt, lists.values(), everybody)
    lost = [*signed(late, "list").values()]
    again = steps.reveal(attempt, lost, everybody)
    assert None not in codes(again), "one signature is no list of survivors"
    opened = {node for node, answer in shares.items() if isinstance(answer, Body)}
    assert opened <= set(everybody), "one kind of share, of the one list"
    network.settle()
    refused = named(network, tmp_path / "bundle")
    assert all(Attempted.OPENING in each for each in refused.values())
    assert all(Attempted.SURVIVORS in refused[n] for n in everybody[:4] if n != TARGET)
    report = verify_bundle(tmp_path / "bundle")
    assert report.releases == 0
    for found in report.nodes:
        assert found.spent.rho.units > 0
        assert not ledger(network, found.node, Released), "an answer that nobody was given"
    assert ledger(network, TARGET, Commit)[0].bytes > 0


def test_code_is_not_run_and_the_node_says_so_signed(network: Network, tmp_path: Path) -> None:
    node = network.nodes[TARGET]
    size = node.service.ledger.size
    for body in (
        {"ask": "run-code", "code": "open('/etc/passwd').read()"},
        {"ask": "contribute", "payload": {"__reduce__": "os.system"}},
    ):
        request = {"to": TARGET, "id": "r", "at": instant_text(network.clock()), "blob": "", **body}
        envelope = Envelope.seal("request", request, COORDINATOR)
        packet = Packet(canonical_bytes(envelope.to_json()), b"import os")
        [reply] = node.service.handle_all([packet])
        said = Envelope.from_bytes(reply.header)
        refused = said.open("reply", node.service.key.public)
        assert refused["code"] == Code.BAD_SIGNATURE.value, "in the node's own hand"
    assert node.service.ledger.size == size + 1, "once a day"
    assert node.steward.left_the_building() == []
    network.settle()
    assert named(network, tmp_path / "bundle")[TARGET] == {Attempted.MESSAGE}


def test_a_log_that_is_rewound_stops_everybody_and_no_bundle_verifies(
    network: Network, tmp_path: Path
) -> None:
    run = network.ask(ASKED)
    assert run.release
    network.settle()
    verify_bundle(bundle(network, tmp_path / "honest"))
    cut_log(network, network.contact.witnesses.log.size() - 1)
    network.settle()
    for node in network.nodes:
        assert [each.of for each in ledger(network, node, HistoryBroken)] == [LOG]
    charged = spent(network)
    assert network.ask({"kind": "count"}).code == Code.HISTORY_BROKEN.value
    assert spent(network) == charged
    with pytest.raises(VerificationFailed) as found:
        verify_bundle(bundle(network, tmp_path / "rewound"))
    assert found.value.what == "names a release that is not in the bundle", "the ledgers do"
    assert found.value.where.startswith("nodes/als-union/entries.jsonl: entry")


def _ship_code(network: Network) -> None:
    shipped = Envelope.seal("request", {"ask": "run-code", "code": "6 * 7"}, COORDINATOR)
    packet = Packet(canonical_bytes(shipped.to_json()), b"import os")
    network.nodes[TARGET].service.handle_all([packet])


def _call_lost(network: Network, steps: Steps) -> None:
    """Everybody answers, and two lists of survivors are asked for: one without the target."""
    network.queue(steps.compiled)
    steps.reserve()
    keys = steps.keys()
    attempt = steps.attempt(keys)
    claims = signed(steps.contribute(attempt, keys), "claim")
    steps.sign(attempt, claims, [OTHER, THIRD])
    without = {node: claim for node, claim in claims.items() if node != TARGET}
    steps.sign(attempt, without, [OTHER, THIRD])


def _ask_apart(network: Network, one: Steps, other: Steps) -> None:
    for steps in (one, other):
        network.queue(steps.compiled)
    rest = [node for node in network.nodes if node != TARGET]
    one.reserve([TARGET])
    other.reserve(rest)
    keys = one.keys()
    claims = signed(one.contribute(one.attempt(keys), keys, [TARGET]), "claim")
    claims |= signed(other.contribute(other.attempt(keys), keys, rest), "claim")
    one.sign(one.attempt(keys), claims, [TARGET])


def test_all_seven_stand_in_what_an_auditor_reads(
    make: Callable[..., Network], tmp_path: Path
) -> None:
    """The seventh, a log that is rewound, leaves nothing to verify; see the story before."""
    network = make(nodes=(TARGET, OTHER, THIRD, "stroke-club", "ataxia-group"), t_drop=1)
    question = network.question(ASKED)
    assert network.run(network.plan(question)).release
    Steps(network, network.plan(question)).reserve()
    coordinator = Modified(network)
    coordinator.forge_a_study()
    coordinator.raise_limits()
    plans = [
        Steps(network, network.plan(network.question({"kind": "count", "by": by})))
        for by in ([], ["condition"], ["age"])
    ]
    _call_lost(network, plans[0])
    _ask_apart(network, plans[1], plans[2])
    _ship_code(network)
    network.settle()
    folder, out = str(bundle(network, tmp_path / "bundle")), tmp_path / "dossiers"
    verify = CliRunner().invoke(app, ["audit", "verify", folder])
    wanted = ["--out", str(out), "--node", TARGET, "--no-pdf"]
    report = CliRunner().invoke(app, ["audit", "report", folder, *wanted])
    assert (verify.exit_code, report.exit_code) == (0, 0)
    page = html.unescape((out / f"node-{TARGET}.html").read_text("utf-8"))
    for what in ("replay", "study", "plan", "survivors", "claims", "message"):
        words = ATTEMPT_WORDS[Attempted(what)]
        assert f"refused {words}" in verify.stdout, what
        here = what != "survivors"  # the target was not asked to sign itself away
        assert (words in page) is here, what
    cut_log(network, network.contact.witnesses.log.size() - 1)
    network.settle()
    with pytest.raises(VerificationFailed):
        verify_bundle(bundle(network, tmp_path / "rewound"))
    assert all(ledger(network, node, HistoryBroken) for node in network.nodes)
