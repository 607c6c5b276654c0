"""Honest random ledgers, built in memory through the same rules a node follows."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from privacy.checkpoint import Checkpoint, node_origin, sign_checkpoint
from privacy.contract.canonical import sha256_hex
from privacy.contract.plan import Plan
from privacy.contract.signing import SigningKey
from privacy.contract.time import epoch_of, instant_text
from privacy.errors import Refused
from privacy.ledger.entry import (
    Aborted,
    Approval,
    Body,
    Commit,
    ConsentRoot,
    ConsentText,
    DictionaryAdopted,
    Entry,
    Expired,
    Genesis,
    Lost,
    Mechanism,
    Paused,
    PolicySet,
    Released,
    Reserve,
    ReservedRound,
    Resumed,
    RosterPinned,
    Witnessed,
)
from privacy.ledger.fold import step
from privacy.ledger.state import LedgerState
from privacy.ledger.steward_entry import PeriodOpened, Signed
from privacy.mechanism import GaussianSum
from privacy.merkle import Tree
from privacy.units import Rho

NETWORK = "test-network"
START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
DELTA_TEXT = "1/1000000"
BY = "steward"
SMALL = Mechanism.of(GaussianSum(delta_grid=2**17, nodes=3, margin=1))
COST = SMALL.event.rho


def signing_key(name: str) -> SigningKey:
    """A key that depends on `name` alone."""
    return SigningKey(bytes.fromhex(sha256_hex(b"test key " + name.encode())))


def digest_of(text: str) -> str:
    return sha256_hex(text.encode())


def policy(yearly: Rho, **changes: int) -> PolicySet:
    limits = {
        "min_nodes": 3, "min_collude": 1, "max_drop": 0, "min_cohort": 0, "max_memberships": 1,
    }  # fmt: skip
    return PolicySet(yearly_rho=yearly.text, by=BY, **(limits | changes))


def period(
    budget: Rho, number: int = 0, *, node: str = "alpha", at: datetime | None = None
) -> PeriodOpened:
    """The year `number`, signed by the key made with the node at `at`, or when it begins."""
    starts = START + number * YEAR
    body = PeriodOpened(
        starts=instant_text(starts),
        ends=instant_text(starts + YEAR),
        budget_rho=budget.text,
        by=BY,
    )
    return signed_period(body, founder(node), node, at or starts)


def signed_period(
    body: PeriodOpened, key: SigningKey, node: str, at: datetime, network: str = NETWORK
) -> PeriodOpened:
    """The same, signed by `key` for one node at one time."""
    signed = Signed.of(key, node, network, instant_text(at), body.word)
    return body.model_copy(update={"signed": signed})


def founder(node: str) -> SigningKey:
    """The steward's key that was made with a node's folder."""
    return signing_key(f"founder of {node}")


def genesis(node: str) -> Genesis:
    """The first entry of a node's ledger."""
    return Genesis(
        node=node,
        key=signing_key(node).public.text,
        steward=founder(node).public.text,
        network=NETWORK,
        delta=DELTA_TEXT,
    )


def approval(study: str, quota: Rho, decision: str = "approved") -> Approval:
    return Approval(
        study=study, study_digest=digest_of(study), rho=quota.text, decision=decision,  # type: ignore[arg-type]
        by=BY, reason="",
    )  # fmt: skip


def reserve(
    plan: str,
    study: str,
    expires: datetime,
    *,
    mechanism: Mechanism = SMALL,
    rounds: int = 1,
    max_attempts: int = 1,
    mechanisms: tuple[Mechanism, ...] = (),
) -> Reserve:
    """A reservation for the plan named `plan` (any text; hashed); `mechanisms` by round."""
    each = mechanisms or (mechanism,) * rounds
    cost = Rho.total(one.event.rho for one in each)
    return Reserve(
        plan=digest_of(plan),
        question=digest_of("question of " + plan),
        study=study,
        study_digest=digest_of(study),
        researcher=signing_key("researcher").public.text,
        identity=digest_of("identity of " + plan),
        sentence=f"How many members, by treatment? ({plan})",
        dictionary=digest_of("dictionary"),
        rounds=tuple(ReservedRound(mechanism=one, rho=one.event.rho.text) for one in each),
        max_attempts=max_attempts,
        rho=(cost * max_attempts).text,
        expires=instant_text(expires),
    )


def commit(plan: str, round_: int, attempt: int, payload: bytes, mechanism: Mechanism) -> Commit:
    """The commit of `payload` for a plan given by its digest."""
    return Commit(
        plan=plan,
        round=round_,
        attempt=attempt,
        mechanism=mechanism,
        rho=mechanism.event.rho.text,
        masked_sha256=sha256_hex(payload),
        length=max(1, len(payload) // 8),
        bytes=len(payload),
    )


def opening_bodies(budget: Rho, studies: dict[str, Rho], node: str = "alpha") -> list[Body]:
    """What a node records before its first question, after genesis."""
    return [
        policy(budget),
        period(budget, node=node),
        RosterPinned(roster=digest_of("roster"), epoch=1, confirmed=("aaaa-bbbb",), by=BY),
        DictionaryAdopted(dictionary=digest_of("dictionary")),
        *(approval(study, quota) for study, quota in studies.items()),
    ]


@dataclass
class MemoryLedger:
    """A ledger in memory: the rules, the links and the tree, without a disk."""

    node: str = "alpha"
    now: datetime = START
    state: LedgerState = field(default_factory=LedgerState)
    entries: list[Entry] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)

    @property
    def key(self) -> SigningKey:
        return signing_key(self.node)

    @property
    def lines(self) -> list[bytes]:
        return [entry.data for entry in self.entries]

    def append(self, body: Body) -> Entry:
        """Raises Refused like the node's store, and then changes nothing."""
        entry = Entry(
            seq=self.state.size, prev=self.state.head, at=instant_text(self.now), body=body
        )
        self.state = step(self.state, entry)
        self.entries.append(entry)
        self.tree.append(entry.leaf)
        return entry

    def head(self, size: int | None = None) -> Checkpoint:
        size = self.state.size if size is None else size
        return Checkpoint(node_origin(NETWORK, self.node), size, self.tree.root(size))

    def note(self, size: int | None = None) -> str:
        return sign_checkpoint(self.head(size), self.key)


def fresh_ledger(node: str, budget: Rho, studies: dict[str, Rho]) -> MemoryLedger:
    """A ledger ready for its first question."""
    ledger = MemoryLedger(node)
    ledger.append(genesis(node))
    for body in opening_bodies(budget, studies, node):
        ledger.append(body)
    return ledger


def random_body(rng: random.Random, ledger: MemoryLedger) -> Body:
    """One thing that might happen next; not always something the rules allow."""
    plans = list(ledger.state.plans.values())
    study = rng.choice(["als", "ms"])
    choice = rng.random()
    if choice < 0.35 or not plans:
        return reserve(
            f"plan {rng.randrange(10**6)}", study, ledger.now + timedelta(minutes=10),
            rounds=rng.choice([1, 1, 2]), max_attempts=rng.choice([1, 2]),
        )  # fmt: skip
    plan = rng.choice(plans)
    opening = (rng.randrange(len(plan.rounds)), rng.randrange(plan.max_attempts))
    endings: list[Body] = [
        Released(plan=plan.plan, release=digest_of("release" + plan.plan)),
        Aborted(plan=plan.plan, code="not_enough_nodes"),
        Expired(plan=plan.plan),
        Lost(plan=plan.plan, round=opening[0], attempt=opening[1]),
        approval(study, COST * rng.randrange(1, 60)),
        Paused(by=BY),
        Witnessed(nonce="0123456789abcdef", peers=("beta", "gamma"), size=ledger.state.size),
        period(COST * 60, rng.randrange(1, 3), node=ledger.node, at=ledger.now),
        ConsentText(purpose="research", language="de", text=digest_of("text"), by=BY),
        ConsentRoot(epoch=epoch_of(ledger.now.date()), root=digest_of(f"{ledger.now}")),
    ]
    if choice < 0.8:
        return commit(plan.plan, *opening, rng.randbytes(16), plan.rounds[0].mechanism)
    return rng.choice(endings)


def random_ledger(seed: int, steps: int = 40, node: str = "alpha") -> MemoryLedger:
    """An honest history of about `steps` entries: whatever the rules refused is not in it."""
    rng = random.Random(seed)
    ledger = fresh_ledger(node, COST * 40, {"als": COST * 25, "ms": COST * 20})
    for _ in range(steps):
        ledger.now += timedelta(
            seconds=rng.choices([0, 1, 60, 1200, 30 * 86400], [4, 4, 4, 1, 1])[0]
        )
        if ledger.state.paused:
            ledger.append(Resumed(by=BY))
        try:
            ledger.append(random_body(rng, ledger))
        except Refused:
            continue
    return ledger


def reservation(digest: str, plan: Plan, sentence: str) -> Reserve:
    """What a node reserves for a plan of this digest."""
    return Reserve(
        plan=digest,
        question=plan.question_envelope.digest,
        study=plan.study,
        study_digest=plan.study_digest,
        researcher=plan.signer.text,
        identity=plan.identity,
        sentence=sentence,
        dictionary=plan.dictionary,
        rounds=tuple(
            ReservedRound(mechanism=Mechanism(**each.mechanism), rho=each.rho)
            for each in plan.rounds
        ),
        max_attempts=plan.max_attempts,
        rho=(Rho.parse(plan.rho) * plan.max_attempts).text,
        expires=plan.expires,
    )
