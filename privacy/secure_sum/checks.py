"""What every party checks of every other: pure functions from signed bytes to plain facts.

Each raises `ProtocolError` naming the step and the sender. Participants, the aggregator and
whoever verifies a transcript later use the same checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from privacy.contract.canonical import canonical_bytes, digest, unb64
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import BadInput, VerificationFailed
from privacy.secure_sum.attempt import Attempt
from privacy.secure_sum.commitments import Dealer, OpenedShare, ShareOf
from privacy.secure_sum.messages import (
    ADVERT_KIND,
    CLAIM_KIND,
    LIST_KIND,
    PROTOCOL,
    REVEAL_KIND,
    Claim,
    KeyAdvert,
    Reveal,
    Step,
    Survivor,
    SurvivorList,
    broken,
    read,
    read32,
)


@dataclass(frozen=True)
class Group:
    """Who prepares keys together: all of them take part in every sum made with these keys."""

    participants: tuple[str, ...]
    roster: str
    threshold: int

    @cached_property
    def digest(self) -> str:
        """The participants' names in one hash, for the adverts."""
        return digest(list(self.participants))

    @classmethod
    def of(cls, attempt: Attempt) -> Group:
        return cls(attempt.participants, attempt.roster, attempt.threshold)


def check_names(step: Step, given: Collection[str], wanted: Collection[str]) -> None:
    """Exactly the `wanted` nodes, no more and no fewer."""
    for name in sorted(set(wanted) ^ set(given)):
        raise broken(step, "missing" if name in wanted else "not expected", name)


def check_identities(
    participants: Sequence[str], keys: Mapping[str, PublicKey]
) -> dict[str, PublicKey]:
    """The pinned identity key of every participant; no two share one."""
    for name in participants:
        if name not in keys:
            raise broken(Step.ADVERT, "no identity key is pinned", name)
    found = {name: keys[name] for name in participants}
    if len(set(found.values())) != len(found):
        raise broken(Step.ADVERT, "two participants share an identity key")
    return found


def check_advert(group: Group, envelope: Envelope, key: PublicKey, node: str) -> KeyAdvert:
    """A peer's advert: signed by it, for this group, roster, threshold and protocol."""
    advert = read(envelope, ADVERT_KIND, KeyAdvert, key, step=Step.ADVERT, who=node)
    if advert.node != node:
        raise broken(Step.ADVERT, "names another node", node)
    made_for = (advert.group, advert.roster, advert.threshold)
    if made_for != (group.digest, group.roster, group.threshold):
        raise broken(Step.ADVERT, "made for another group, roster or threshold", node)
    read32(advert.channel_key, Step.ADVERT, node)
    return advert


def check_adverts(
    attempt: Attempt, adverts: Mapping[str, Envelope], keys: Mapping[str, PublicKey]
) -> dict[str, KeyAdvert]:
    """The adverts of all participants, for the sessions and the set that the attempt names."""
    check_names(Step.ADVERT, adverts, attempt.participants)
    group = Group.of(attempt)
    cards = {}
    for node in attempt.participants:
        card = check_advert(group, adverts[node], keys[node], node)
        if card.session != attempt.session_of(node):
            raise broken(Step.ADVERT, "belongs to another session", node)
        if attempt.set_index >= len(card.public_sets):
            raise broken(Step.ADVERT, "does not hold the set in use", node)
        cards[node] = card
    return cards


def check_claim(attempt: Attempt, envelope: Envelope, key: PublicKey, node: str) -> Claim:
    """A node's signed statement of what it masked in this attempt."""
    claim = read(envelope, CLAIM_KIND, Claim, key, step=Step.CLAIM, who=node)
    if claim.node != node:
        raise broken(Step.CLAIM, "names another node", node)
    if claim.attempt != attempt.digest:
        raise broken(Step.CLAIM, "made for another attempt", node)
    return claim


def check_claims(
    attempt: Attempt, claims: Mapping[str, Envelope], keys: Mapping[str, PublicKey]
) -> SurvivorList:
    """The survivor list that these claims give, if there are enough of them."""
    for node in sorted(set(claims) - set(attempt.participants)):
        raise broken(Step.CLAIM, "not a participant", node)
    if len(claims) < attempt.minimum_survivors:
        raise broken(Step.LIST, f"fewer than {attempt.minimum_survivors} survivors")
    found = [check_claim(attempt, claims[node], keys[node], node) for node in sorted(claims)]
    survivors = tuple(
        Survivor(node=claim.node, sha256=claim.sha256, checkpoint=claim.checkpoint)
        for claim in found
    )
    return SurvivorList(protocol=PROTOCOL, attempt=attempt.digest, survivors=survivors)


def by_signer(lists: Sequence[Envelope], keys: Mapping[str, PublicKey]) -> dict[str, Envelope]:
    """Signed lists by the node whose key they carry; a stranger or a repetition is refused."""
    owners = {key: node for node, key in keys.items()}
    found: dict[str, Envelope] = {}
    for envelope in lists:
        node = owners.get(envelope.key)
        if node is None:
            raise broken(Step.LIST, "signed by a stranger")
        if node in found:
            raise broken(Step.LIST, "two signatures by one node", node)
        found[node] = envelope
    return found


def check_signatures(
    attempt: Attempt,
    body: bytes,
    survivors: SurvivorList,
    lists: Mapping[str, Envelope],
    keys: Mapping[str, PublicKey],
) -> None:
    """A threshold of survivors signed exactly `body`, the bytes of `survivors`."""
    for node, envelope in lists.items():
        if node not in survivors.names:
            raise broken(Step.LIST, "signed by a node that is not on it", node)
        try:
            keys[node].verify(LIST_KIND, envelope.body, envelope.signature)
        except VerificationFailed as error:
            raise broken(Step.LIST, error.what, node) from None
        if (envelope.kind, envelope.key, envelope.body) != (LIST_KIND, keys[node], body):
            raise broken(Step.LIST, "signed another list", node)
    if len(lists) < attempt.threshold:
        raise broken(Step.LIST, f"fewer than {attempt.threshold} signatures")


def check_lists(
    attempt: Attempt,
    claims: Mapping[str, Envelope],
    lists: Mapping[str, Envelope],
    keys: Mapping[str, PublicKey],
) -> SurvivorList:
    """The list that a threshold signed, agreeing with the survivors' claims.

    Claims of nodes that are not on the list are ignored: those nodes came too late.
    """
    if not lists:
        raise broken(Step.LIST, f"fewer than {attempt.threshold} signatures")
    [(body, _)] = Counter(envelope.body for envelope in lists.values()).most_common(1)
    signer = min(node for node, envelope in lists.items() if envelope.body == body)
    agreed = read(lists[signer], LIST_KIND, SurvivorList, keys[signer], step=Step.LIST, who=signer)
    for node in agreed.names:
        if node not in claims:
            raise broken(Step.CLAIM, "missing", node)
    named = {node: claims[node] for node in agreed.names}
    if canonical_bytes(check_claims(attempt, named, keys).to_json()) != body:
        raise broken(Step.LIST, "does not agree with the survivors' claims", signer)
    check_signatures(attempt, body, agreed, lists, keys)
    return agreed


def check_reveal(
    attempt: Attempt, survivors: SurvivorList, envelope: Envelope, key: PublicKey, node: str
) -> Reveal:
    """One holder's shares: for exactly the survivors' seeds and the lost nodes' keys."""
    reveal = read(envelope, REVEAL_KIND, Reveal, key, step=Step.REVEAL, who=node)
    if reveal.node != node or node not in survivors.names:
        raise broken(Step.REVEAL, "not by a survivor", node)
    if (reveal.attempt, reveal.survivor_list) != (attempt.digest, survivors.digest):
        raise broken(Step.REVEAL, "made for another attempt or list", node)
    lost = set(attempt.participants) - set(survivors.names)
    if set(reveal.seeds) != set(survivors.names) or set(reveal.keys) != lost:
        raise broken(Step.REVEAL, "not one kind of share for each peer", node)
    return reveal


def check_share(
    attempt: Attempt, dealer: Dealer, root: bytes, text: str, *, holder: str, kind: ShareOf
) -> int:
    """The share that `holder` opened, if it is the one that `dealer` dealt to it."""
    try:
        opened = OpenedShare.from_bytes(unb64(text), attempt.nodes)
        position = attempt.participants.index(holder)
        dealer.verify(root, opened, position, kind, attempt.nodes)
    except BadInput as error:
        raise broken(Step.REVEAL, f"share of {dealer.node}: {error.what}", holder) from None
    return opened.share.value
