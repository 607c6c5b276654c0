"""What a ledger holds: one closed set of statements, one canonical line each.

An entry names its place (`seq`), its predecessor's leaf hash (`prev`), the time and one body.
Bodies hold public facts only: nothing computed from members stands in a ledger.

Amounts of privacy loss are rho as rational text (multiples of 2^-60); times are instants in
UTC with whole seconds; `by` names the steward who signed the decision off.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError

from privacy.contract.facts import Sorted
from privacy.contract.policy import Policy, Rules
from privacy.contract.study import KeyText
from privacy.errors import BadInput
from privacy.ledger.attempt_entry import AttemptRefused
from privacy.ledger.coordinator_entry import CoordinatorBody
from privacy.ledger.desk_entry import Delegated, Endorsement, QuestionDecided, Reviewed
from privacy.ledger.fields import (
    CodeText,
    Count,
    DeltaText,
    Digest,
    Epoch,
    Index,
    Instant,
    LinkageDigest,
    Name,
    Positive,
    RhoText,
    Words,
)
from privacy.ledger.history_entry import Told
from privacy.ledger.link_entry import LinkBody
from privacy.ledger.steward_entry import PeriodOpened, Signed, StewardBody
from privacy.ledger.successors import ResearcherKeyChanged
from privacy.ledger.upkeep_entry import UpkeepBody
from privacy.mechanism import GaussianSum
from privacy.merkle import leaf_hash
from privacy.units import Rho

MAX_ENTRY_BYTES = 2**18
FIRST_PREV = "0" * 64
MAX_ROUNDS = 1024


def _text(rho: Rho | None) -> str | None:
    return None if rho is None else rho.text


class Mechanism(Sorted):
    """The recorded parameters of the event, from which its cost is recomputed."""

    delta_grid: Count
    nodes: Count
    margin: Count
    log2_sigma: Count
    memberships: Count

    @cached_property
    def event(self) -> GaussianSum:
        """Raises BadInput for parameters out of range."""
        return GaussianSum(
            self.delta_grid, self.nodes, self.margin, self.log2_sigma, self.memberships
        )

    @classmethod
    def of(cls, event: GaussianSum) -> Self:
        return cls(**event.to_json())


class Genesis(Sorted):
    """The first entry: whose ledger this is, and the delta at which epsilon is stated.

    `steward` is the key that was made with the node's folder. It opens the first period, and no
    other once a steward joined with a key of their own.
    """

    kind: Literal["genesis"] = "genesis"
    node: Name
    key: KeyText
    steward: KeyText
    network: Name
    delta: DeltaText


class PolicySet(Sorted):
    """The organisation's limits, floors and rules, from now on.

    None for a study, for one researcher in a study or for one question is no limit beside the
    year's. With a `ceiling_rho` members are charged one by one up to `yearly_rho`, at the node;
    questions are counted against the ceiling as if everybody were in each. `lifetime_rho` limits
    all periods together; members who are charged one by one, each of them, at the node.
    """

    kind: Literal["policy"] = "policy"
    yearly_rho: RhoText
    ceiling_rho: RhoText | None = None
    lifetime_rho: RhoText | None = None
    study_rho: RhoText | None = None
    researcher_rho: RhoText | None = None
    question_rho: RhoText | None = None
    min_nodes: Count
    min_collude: Count
    max_drop: Count
    min_cohort: Count
    max_memberships: Positive
    rules: Rules = Rules()
    by: Name
    reason: Words = ""
    signed: Signed | None = None

    @property
    def individual(self) -> bool:
        """Are members charged one by one?"""
        return self.ceiling_rho is not None

    @property
    def public_rho(self) -> RhoText:
        """What all questions of a year may cost in public."""
        return self.ceiling_rho or self.yearly_rho

    @classmethod
    def of(cls, policy: Policy, by: Name, reason: str = "") -> Self:
        """The entry that puts `policy` in force."""
        return cls(
            yearly_rho=policy.yearly_rho.text,
            ceiling_rho=_text(policy.ceiling_rho),
            lifetime_rho=_text(policy.lifetime_rho),
            study_rho=_text(policy.study_rho),
            researcher_rho=_text(policy.researcher_rho),
            question_rho=_text(policy.question_rho),
            min_nodes=policy.min_nodes,
            min_collude=policy.min_collude,
            max_drop=policy.max_drop,
            min_cohort=policy.min_cohort,
            max_memberships=policy.max_memberships,
            rules=policy.rules,
            by=by,
            reason=reason,
        )


class RosterPinned(Sorted):
    """The roster this node takes part in, and the fingerprints its steward compared."""

    kind: Literal["roster"] = "roster"
    roster: Digest
    epoch: Count
    confirmed: Annotated[tuple[Words, ...], Field(max_length=1024)]
    by: Name


class DictionaryAdopted(Sorted):
    """The dictionary every plan has to name from now on."""

    kind: Literal["dictionary"] = "dictionary"
    dictionary: Digest


class Approval(Sorted):
    """An organisation's decision on one version of a study.

    `rho` is the study's quota, `researcher_rho` each investigator's in it (None: all of it).
    `asked` gives it back to its researchers with a question, the `reason`. A decision is made
    `how`: by a steward or by the policy, whose rule the reason then names. Approved, questions
    are answered from `answers_from` on (None: at once).
    """

    kind: Literal["approval"] = "approval"
    study: Name
    study_digest: Digest
    rho: RhoText
    researcher_rho: RhoText | None = None
    decision: Literal["approved", "refused", "asked", "withdrawn"]
    how: Literal["steward", "policy"] = "steward"
    answers_from: Instant | None = None
    by: Name
    reason: Words
    signed: Signed | None = None


class KeysRevoked(Sorted):
    """Keys and delegations that no plan is reserved for from now on, new here and sorted.

    `revocation` is the digest of the coordinator's signed list that named them.
    """

    kind: Literal["revoked"] = "revoked"
    revocation: Digest
    keys: Annotated[tuple[KeyText, ...], Field(max_length=4096)]
    delegations: Annotated[tuple[Digest, ...], Field(max_length=4096)] = ()


class ReservedRound(Sorted):
    """One round of a reserved plan: its mechanism, and what one attempt of it costs."""

    mechanism: Mechanism
    rho: RhoText


class Reserve(Sorted):
    """Set aside what a plan may cost at most, before any data is read.

    `rho` is max_attempts times the cost of all `rounds`, each once. `question` is the digest of
    what the researcher signed: it is answered once, whatever plans are made of it. A question
    signed by another key than the `researcher`'s names the delegation under which it was. Of a
    linked study, `linkage` is the session by which each person is counted once.
    """

    kind: Literal["reserve"] = "reserve"
    plan: Digest
    question: Digest
    study: Name
    study_digest: Digest
    researcher: KeyText
    delegation: Delegated | None = None
    identity: Digest
    sentence: Words
    dictionary: Digest
    rounds: Annotated[tuple[ReservedRound, ...], Field(min_length=1, max_length=MAX_ROUNDS)]
    max_attempts: Positive
    rho: RhoText
    linkage: LinkageDigest = ""
    expires: Instant


class Commit(Sorted):
    """Charge one opening, before the first byte of the masked vector leaves.

    Mechanism and rho are those that the reservation names for the round.
    `masked_sha256` and `bytes` describe exactly what may leave; `length` counts its numbers.
    """

    kind: Literal["commit"] = "commit"
    plan: Digest
    round: Index
    attempt: Index
    mechanism: Mechanism
    rho: RhoText
    masked_sha256: Digest
    length: Positive
    bytes: Count


class Released(Sorted):
    """The plan ended with a release; what was reserved and not charged is free again."""

    kind: Literal["released"] = "released"
    plan: Digest
    release: Digest


class Aborted(Sorted):
    """The plan ended without a release; what was charged stays charged."""

    kind: Literal["aborted"] = "aborted"
    plan: Digest
    code: CodeText


class Expired(Sorted):
    """The plan's time ran out."""

    kind: Literal["expired"] = "expired"
    plan: Digest


class Lost(Sorted):
    """The others opened a total without what this node sent. It stays charged."""

    kind: Literal["lost"] = "lost"
    plan: Digest
    round: Index
    attempt: Index


class Paused(Sorted):
    """Nothing is reserved and nothing leaves until resumed."""

    kind: Literal["paused"] = "paused"
    by: Name


class Resumed(Sorted):
    """The steward lets the node answer again."""

    kind: Literal["resumed"] = "resumed"
    by: Name


class ConsentRoot(Sorted):
    """The salted root of the consent table, one for every month; it tells nothing of members."""

    kind: Literal["consent"] = "consent"
    epoch: Epoch
    root: Digest


class ConsentText(Sorted):
    """A text that members are shown when they are asked for consent to a purpose, from now on."""

    kind: Literal["consent-text"] = "consent-text"
    purpose: Name
    language: Name
    text: Digest
    by: Name


class Witnessed(Sorted):
    """After a start: peers answered `nonce` with the last checkpoint of this ledger they hold.

    `size` is the largest size any of them named.
    """

    kind: Literal["witnessed"] = "witnessed"
    nonce: Annotated[str, StringConstraints(min_length=16, max_length=128)]
    peers: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1024)]
    size: Count


Body = (
    Genesis
    | PolicySet
    | PeriodOpened
    | RosterPinned
    | DictionaryAdopted
    | Endorsement
    | Approval
    | Reviewed
    | KeysRevoked
    | QuestionDecided
    | Reserve
    | Commit
    | Released
    | Aborted
    | Expired
    | Lost
    | Paused
    | Resumed
    | ConsentRoot
    | ConsentText
    | Witnessed
    | UpkeepBody
    | StewardBody
    | AttemptRefused
    | Told
    | LinkBody
    | CoordinatorBody
    | ResearcherKeyChanged
)


class Entry(Sorted):
    """One line of a ledger."""

    seq: Count
    prev: Digest
    at: Instant
    body: Annotated[Body, Field(discriminator="kind")]

    @cached_property
    def data(self) -> bytes:
        """The canonical bytes: what is hashed, stored and shown."""
        # Names are ASCII, numbers bounded and fields Sorted; the four here need no escaping. A
        # body written as one of many sorts takes three times as long.
        body = self.body.__pydantic_serializer__.to_json(self.body).decode()
        text = f'{{"at":"{self.at}","body":{body},"prev":"{self.prev}","seq":{self.seq}}}'
        return text.encode()

    @cached_property
    def leaf(self) -> bytes:
        """The RFC 6962 leaf hash of `data`, 32 bytes."""
        return leaf_hash(self.data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read one line; raises BadInput unless it is the canonical form of an entry."""
        if len(data) > MAX_ENTRY_BYTES:
            raise BadInput(f"larger than {MAX_ENTRY_BYTES} bytes")
        try:
            entry = cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadInput(f"not an entry: {where}: {first['msg']}") from None
        if entry.data != data:
            raise BadInput("not in canonical form")
        return entry
