"""A whole small network in memory that answers questions and writes audit bundles.

Three nodes with real ledgers, real signed studies, plans and releases, and real secure sums
with noise shares replaced by fixed numbers. A test may change any part before the bundle is
written, and sign it again: that is what an insider would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.audit.bundle import write_bundle
from coordinator.audit.bundle_facts import (
    BundleFacts,
    Held,
    LedgerFacts,
    LogFacts,
    ReleaseFacts,
)
from coordinator.statement import totals_digest
from privacy.accounting.conversion import epsilon_of_rho, parse_epsilon, rho_of_epsilon
from privacy.checkpoint import (
    Checkpoint,
    cosign,
    log_origin,
    open_checkpoint,
    sign_checkpoint,
    witness_name,
)
from privacy.contract.canonical import canonical_bytes, parse_canonical, sha256_hex
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Rows, Table
from privacy.contract.plan import Plan, PlannedRound, Question, identity_of
from privacy.contract.revocation import Revocation
from privacy.contract.roster import Roster, RosterNode
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.study import ConsentRule, Investigator, Study
from privacy.contract.study_life import Act, Signer, StudyStep
from privacy.contract.time import epoch_of, instant_text
from privacy.ledger.entry import (
    Approval,
    Commit,
    DictionaryAdopted,
    Mechanism,
    Released,
    RosterPinned,
)
from privacy.log import LogEntry, Logged
from privacy.mechanism import plan_mechanism
from privacy.merkle import root_of
from privacy.secure_sum.aggregator import open_total
from privacy.secure_sum.attempt import Attempt, threshold
from privacy.secure_sum.channel import split_sealed
from privacy.secure_sum.participant import Session
from privacy.secure_sum.transcript import Transcript, verify_transcript
from privacy.units import Rho
from tests.support.ledger_factory import (
    BY,
    DELTA_TEXT,
    NETWORK,
    START,
    MemoryLedger,
    genesis,
    period,
    policy,
    reservation,
    signing_key,
)
from tests.support.seeded import seeded_entropy

NODES = ("als-forum", "ms-circle", "mood-net")
COORDINATOR = signing_key("coordinator")
RESEARCHER = signing_key("researcher")
DELTA = Fraction(1, 10**6)
LENGTH = 3


def make_dictionary() -> Dictionary:
    column = Column(
        name="treatment", type=ColumnType.CATEGORICAL, levels=("none", "riluzole", "other")
    )
    table = Table(name="members", key="member", rows=Rows.ONE, columns=(column,))
    return Dictionary(tables=(table,))


def make_study(dictionary: Dictionary) -> Study:
    return Study(
        id="als-progression",
        title="Progression",
        purpose="research",
        consent=ConsentRule.REQUIRED,
        starts="2026-01-01",
        ends="2026-12-31",
        epsilon_allowance="5",
        delta=DELTA_TEXT,
        dictionary=dictionary.digest,
        investigators=(Investigator(key=RESEARCHER.public.text),),
    )


def make_roster(nodes: tuple[str, ...]) -> Roster:
    entries = (
        RosterNode(id=node, name=node, key=signing_key(node).public.text, transport_key="-")
        for node in sorted(nodes)
    )
    return Roster(network=NETWORK, epoch=1, nodes=tuple(entries))


@dataclass
class Network:
    """`ask` answers one question; `write` makes the bundle."""

    nodes: tuple[str, ...] = NODES
    now: datetime = START
    dictionary: Dictionary = field(default_factory=make_dictionary)
    ledgers: dict[str, MemoryLedger] = field(default_factory=dict)
    plans: list[Envelope] = field(default_factory=list)
    releases: list[ReleaseFacts] = field(default_factory=list)
    held: dict[str, list[Held]] = field(default_factory=dict)
    log_held: list[Held] = field(default_factory=list)
    log_order: list[tuple[Logged, str]] = field(default_factory=list)
    steps: tuple[Envelope, ...] = ()
    auditors: dict[str, PublicKey] = field(default_factory=dict)
    revoked: list[Envelope] = field(default_factory=list)
    study_changes: dict[str, Any] = field(default_factory=dict)
    quota: Rho | None = None  # what the organisations approve; default: the allowance

    def __post_init__(self) -> None:
        study = make_study(self.dictionary)
        self.study = Study(**(study.model_dump() | self.study_changes))
        self.roster = make_roster(self.nodes)
        for node in self.nodes:
            self.ledgers[node] = self._ledger(node)
            self.held[node] = []
        self.steps = self._lived()

    def _lived(self) -> tuple[Envelope, ...]:
        """The study was proposed, and every organisation approved it."""
        at = instant_text(self.now)
        proposed = StudyStep.of(self.study, Act.PROPOSE, Signer.COORDINATOR, at)
        approved = (
            StudyStep.of(self.study, Act.APPROVE, Signer.ORGANISATION, at, by=node).sealed(
                signing_key(node)
            )
            for node in self.nodes
        )
        return (proposed.sealed(COORDINATOR), *approved)

    def _ledger(self, node: str) -> MemoryLedger:
        ledger = MemoryLedger(node, self.now)
        budget = self.study.rho
        for body in (
            genesis(node),
            policy(budget),
            period(budget, node=node),
            RosterPinned(roster=self.roster.digest, epoch=1, confirmed=("x",), by=BY),
            DictionaryAdopted(dictionary=self.dictionary.digest),
            Approval(
                study=self.study.id,
                study_digest=self.study.digest,
                rho=(self.quota or budget).text,
                decision="approved",
                by=BY,
                reason="",
            ),
        ):
            ledger.append(body)
        return ledger

    def tick(self, seconds: int = 5) -> None:
        self.now += timedelta(seconds=seconds)
        for ledger in self.ledgers.values():
            ledger.now = self.now

    def ask(self, epsilon: str = "0.5", *, finish: bool = True) -> Plan:
        """Plan, reserve, commit, open, release; one honest question."""
        self.tick()
        envelope, plan = self._plan(epsilon)
        for ledger in self.ledgers.values():
            ledger.append(reservation(envelope.digest, plan, "How many members by treatment?"))
        self.tick()
        transcript, receipts = self._open(envelope.digest, plan)
        release = self._release(envelope.digest, plan, transcript, receipts)
        self.releases.append(release)
        self.tick()
        if finish:
            for ledger in self.ledgers.values():
                ledger.append(Released(plan=envelope.digest, release=release.envelope.digest))
        return plan

    def _plan(self, epsilon: str) -> tuple[Envelope, Plan]:
        question = Question(
            study=self.study.id,
            study_digest=self.study.digest,
            analysis={"kind": "count", "by": ["treatment"]},
            cohort="",
            epsilon=epsilon,
            asked_at=instant_text(self.now),
            expires=instant_text(self.now + timedelta(hours=1)),
            nonce=f"{len(self.plans):032x}",
        )
        asked = Envelope.seal("question", question.to_json(), RESEARCHER)
        plan = self._compiled(question, asked)
        envelope = Envelope.seal("plan", plan.to_json(), COORDINATOR)
        self.plans.append(envelope)
        return envelope, plan

    def _compiled(self, question: Question, asked: Envelope) -> Plan:
        participants = tuple(sorted(self.nodes))
        allowed = self._rho(question.epsilon)
        mechanism = plan_mechanism(allowed, len(participants), 1)
        facts: dict[str, Any] = {
            "analysis": {"kind": "count", "by": ["members.treatment"]},
            "cohort": question.cohort,
            "dictionary": self.dictionary.digest,
            "study_digest": self.study.digest,
            "participants": participants,
            "epoch": epoch_of(self.now.date()),
            "rho": mechanism.rho.text,
        }
        return Plan(
            question=asked.to_json(),
            identity=identity_of(**facts),
            study=self.study.id,
            roster=self.roster.digest,
            t_drop=0,
            t_collude=1,
            delta=DELTA_TEXT,
            rounds=(
                PlannedRound(mechanism=mechanism.to_json(), rho=mechanism.rho.text, length=LENGTH),
            ),
            max_attempts=1,
            created=instant_text(self.now),
            expires=instant_text(self.now + timedelta(minutes=10)),
            nonce=question.nonce,
            **facts,
        )

    def _rho(self, epsilon: str) -> Rho:
        return rho_of_epsilon(parse_epsilon(epsilon), DELTA)

    def _open(self, digest: str, plan: Plan) -> tuple[Transcript, dict[str, dict[str, Any]]]:
        """One secure sum; every node commits before its claim exists."""
        sessions = {node: self._session(node, plan, digest) for node in plan.participants}
        adverts = {node: session.advert for node, session in sessions.items()}
        sealed = {node: s.share(adverts, self.roster.keys) for node, s in sessions.items()}
        attempt = Attempt(
            plan=digest,
            round=0,
            attempt=0,
            state=sha256_hex(b""),
            participants=plan.participants,
            sessions=tuple(sessions[node].id for node in plan.participants),
            roster=plan.roster,
            set_index=0,
            t_drop=0,
            t_collude=1,
            length=plan.rounds[0].length,
        )
        masked, openings, claims, receipts = {}, {}, {}, {}
        for node, session in sessions.items():
            pieces = {p: split_sealed(blobs[node])[0] for p, blobs in sealed.items() if p != node}
            vector = np.arange(plan.rounds[0].length, dtype=np.uint64) + np.uint64(len(node))
            masked[node], openings[node] = session.take(0).mask(attempt, vector, pieces)
            receipts[node] = self._commit(node, digest, plan, masked[node].tobytes())
            receipt = {name: receipts[node][name] for name in ("seq", "leaf")}
            claims[node] = openings[node].claim(
                openings[node].masked_sha256, receipts[node]["checkpoint"], receipt
            )
        lists = {node: opening.sign_list(claims) for node, opening in openings.items()}
        reveals = {n: opening.reveal(list(lists.values())) for n, opening in openings.items()}
        _, transcript = open_total(
            attempt,
            masked,
            adverts=adverts,
            claims=claims,
            lists=list(lists.values()),
            reveals=reveals,
            keys=self.roster.keys,
        )
        return transcript, receipts

    def _session(self, node: str, plan: Plan, digest: str) -> Session:
        return Session.begin(
            node,
            signing_key(node),
            plan.participants,
            roster=self.roster.digest,
            threshold=threshold(len(plan.participants), 1),
            sets=1,
            entropy=seeded_entropy(f"{node} {digest}"),
        )

    def _commit(self, node: str, digest: str, plan: Plan, data: bytes) -> dict[str, Any]:
        ledger = self.ledgers[node]
        entry = ledger.append(
            Commit(
                plan=digest,
                round=0,
                attempt=0,
                mechanism=Mechanism(**plan.rounds[0].mechanism),
                rho=plan.rounds[0].rho,
                masked_sha256=sha256_hex(data),
                length=plan.rounds[0].length,
                bytes=len(data),
            )
        )
        return {"seq": entry.seq, "leaf": entry.leaf.hex(), "checkpoint": ledger.note()}

    def _release(
        self,
        digest: str,
        plan: Plan,
        transcript: Transcript,
        receipts: dict[str, dict[str, Any]],
    ) -> ReleaseFacts:
        data = canonical_bytes(transcript.to_json())
        totals = verify_transcript(transcript, self.roster.keys)
        body = {
            "plan": digest,
            "identity": plan.identity,
            "totals": [str(int(total)) for total in totals],
            "rounds": [
                {
                    "survivors": list(plan.participants),
                    "mechanism": plan.rounds[0].mechanism,
                    "rho": plan.rounds[0].rho,
                    "receipts": receipts,
                    "totals": totals_digest([int(total) for total in totals]),
                    "transcript": sha256_hex(data),
                    "state": sha256_hex(b""),
                }
            ],
            "rho": plan.rho,
            "epsilon": repr(epsilon_of_rho(Rho.parse(plan.rho), DELTA)),
            "delta": plan.delta,
            "released_at": instant_text(self.now),
        }
        return ReleaseFacts(Envelope.seal("release", body, COORDINATOR), (data,))

    def witness(self, by: str, node: str) -> None:
        """`by` cosigns the newest checkpoint of `node`."""
        note = self.ledgers[node].note()
        checkpoint = open_checkpoint(note, signing_key(node).public)
        key = COORDINATOR if by == "coordinator" else signing_key(by)
        line = cosign(checkpoint, witness_name(NETWORK, by), key, int(self.now.timestamp()))
        self.held[node].append(Held(by, note, line))

    def witness_log(self, by: str) -> None:
        """`by` cosigns the coordinator's log as it is now."""
        log = self.logged(self._statements())
        head = open_checkpoint(log.checkpoint, COORDINATOR.public)
        name = witness_name(NETWORK, by)
        line = cosign(head, name, signing_key(by), int(self.now.timestamp()))
        self.log_held.append(Held(by, log.checkpoint, line))

    def hold(self, by: str, node: str) -> None:
        """`by` keeps the newest checkpoint of `node` without vouching for it."""
        self.held[node].append(Held(by, self.ledgers[node].note(), None))

    def logged(self, facts: Mapping[str, Any]) -> LogFacts:
        """The coordinator's log of exactly these statements."""
        said = [
            *((Logged.DICTIONARY, each.digest) for each in facts["dictionaries"]),
            *((Logged.ROSTER, each.digest) for each in facts["rosters"]),
            *((Logged.REVOCATION, each.digest) for each in facts["revocations"]),
            *((Logged.STUDY, each.digest) for each in facts["studies"]),
            *((Logged.STEP, each.digest) for each in facts["steps"]),
            *((Logged.PLAN, each.digest) for each in facts["plans"]),
            *((Logged.RELEASE, each.envelope.digest) for each in facts["releases"]),
        ]
        self.log_order += [each for each in said if each not in self.log_order]
        stands = [each for each in self.log_order if each in said]
        lines = [
            LogEntry(seq=seq, kind=kind, statement=digest, subject="")
            for seq, (kind, digest) in enumerate(stands)
        ]
        root = root_of(line.leaf for line in lines)
        head = Checkpoint(log_origin(NETWORK), len(lines), root)
        return LogFacts(
            tuple(line.data for line in lines),
            sign_checkpoint(head, COORDINATOR),
            tuple(self.log_held),
            len(lines),
        )

    def revoke(self, *keys: PublicKey) -> str:
        """The coordinator's next list of revoked keys; returns its digest."""
        before = (
            Revocation.from_json(parse_canonical(self.revoked[-1].body)).keys
            if self.revoked
            else ()
        )
        every = tuple(sorted({*before, *(key.text for key in keys)}))
        listed = Revocation(network=NETWORK, number=len(self.revoked) + 1, keys=every)
        self.revoked.append(Envelope.seal("revocation", listed.to_json(), COORDINATOR))
        return listed.digest

    def facts(self, **changes: Any) -> BundleFacts:
        whole = self._statements() | changes
        return BundleFacts(**({"log": self.logged(whole)} | whole))

    def _statements(self) -> dict[str, Any]:
        return {
            "network": NETWORK,
            "rosters": (Envelope.seal("roster", self.roster.to_json(), COORDINATOR),),
            "dictionaries": (self.dictionary,),
            "revocations": tuple(self.revoked),
            "studies": (Envelope.seal("study", self.study.to_json(), COORDINATOR),),
            "delta": DELTA,
            "ledgers": [
                LedgerFacts(node, ledger.lines, ledger.note(), tuple(self.held[node]))
                for node, ledger in self.ledgers.items()
            ],
            "steps": self.steps,
            "auditors": self.auditors,
            "plans": self.plans,
            "releases": self.releases,
        }

    def write(self, folder: Path, **changes: Any) -> Path:
        write_bundle(folder, self.facts(**changes), COORDINATOR, self.now)
        return folder


def resign(folder: Path) -> None:
    """Bring the manifest into line with the files as they are now, as the coordinator could."""
    manifest = folder / "manifest.json"
    body = dict(parse_canonical(manifest.read_bytes())["body"])
    body["files"] = {
        path.relative_to(folder).as_posix(): sha256_hex(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != manifest
    }
    manifest.write_bytes(Envelope.seal("audit-bundle", body, COORDINATOR).to_bytes())
