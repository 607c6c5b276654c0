"""The signed documents of a bundle: network, plans and releases, each read and checked once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from coordinator.audit.bundle import NETWORK, Bundle
from coordinator.statement import totals_digest
from models.aggregates.requests import parse_analysis
from models.derivation import derive, disagreement
from models.reusing import check_reused, reused_by
from privacy.accounting.conversion import epsilon_of_rho
from privacy.checkpoint import AUDITOR
from privacy.contract.canonical import parse_rational
from privacy.contract.dictionary import Dictionary
from privacy.contract.plan import Plan
from privacy.contract.researcher_key import ResearcherKey, parse_changes
from privacy.contract.revocation import Revocation
from privacy.contract.roster import Roster
from privacy.contract.signing import Envelope, PublicKey
from privacy.contract.study import Study
from privacy.errors import BadInput, Refused, VerificationFailed
from privacy.log import Logged
from privacy.mechanism import GaussianSum
from privacy.units import Rho

NO_STATE = hashlib.sha256(b"").hexdigest()
EPSILON_SLACK = 1e-6  # how far a stated epsilon may be rounded up, relative

_FIELDS = {
    "network",
    "rosters",
    "dictionaries",
    "studies",
    "revocations",
    "auditors",
    "coordinator",
    "key_changes",
    "researcher_keys",
    "delta",
}
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,40})?(e[+-][0-9]{1,3})?", re.ASCII)


@contextmanager
def at(where: str) -> Iterator[None]:
    """Whatever fails inside is a failed verification at `where`."""
    try:
        yield
    except VerificationFailed as error:
        inner = f"{where}: {error.where}" if error.where else where
        raise VerificationFailed(error.what, where=inner) from None
    except BadInput as error:
        raise VerificationFailed(str(error), where=where) from None


def require(holds: bool, what: str) -> None:
    """Raise VerificationFailed(`what`) unless it holds."""
    if not holds:
        raise VerificationFailed(what)


@dataclass(frozen=True)
class Network:
    """Who is in the network: newest roster, every node's identity key; every version by digest."""

    name: str
    roster: Roster
    rosters: dict[str, Roster]
    dictionaries: dict[str, Dictionary]
    keys: dict[str, PublicKey]
    studies: dict[str, Study]
    revocations: dict[str, Revocation]
    auditors: dict[str, PublicKey]
    delta: Fraction
    researcher_keys: dict[str, ResearcherKey] = field(default_factory=dict)


@dataclass(frozen=True)
class ReleasedRound:
    """One round of a release. `receipts` maps a node to seq, leaf and checkpoint.

    `totals`, `transcript` and `state` are hashes.
    """

    survivors: tuple[str, ...]
    receipts: dict[str, dict[str, Any]]
    totals: str
    transcript: str
    state: str


@dataclass(frozen=True)
class Release:
    """The body of a signed release. `totals` are those of the last round."""

    plan: str
    identity: str
    totals: tuple[int, ...]
    rounds: tuple[ReleasedRound, ...]


def read_network(bundle: Bundle, pinned: dict[str, PublicKey]) -> Network:
    """network.json, with every signature in it checked and `pinned` node keys compared."""
    value = bundle.json(NETWORK)
    with at(NETWORK):
        require(isinstance(value, dict), "is not an object")
        require(set(value) == _FIELDS, f"needs exactly {', '.join(sorted(_FIELDS))}")
        require(value["coordinator"] == bundle.coordinator.text, "names another coordinator")
        require(value["network"] == bundle.network, "is of another network")
        require(isinstance(value["dictionaries"], list), "dictionaries is not a list")
        dictionaries = [Dictionary.from_json(each) for each in value["dictionaries"]]
        rosters = [Roster.from_json(body) for body in _signed(bundle, value, "rosters", "roster")]
        studies = [Study.from_json(body) for body in _signed(bundle, value, "studies", "study")]
        require(bool(rosters), "holds no roster")
        rosters.sort(key=lambda roster: roster.epoch)
        keys = {node: key for roster in rosters for node, key in roster.keys.items()}
        auditors = _auditors(value["auditors"])
        for name, key in pinned.items():
            stated = {**keys, **auditors}.get(name, key)
            had = () if stated is None else stated.former
            known = key == stated or key in [each.key for each in had]
            require(known, f"the key of {name} is not the pinned one")
        delta = parse_rational(str(value["delta"]))
        return Network(
            bundle.network,
            rosters[-1],
            {roster.digest: roster for roster in rosters},
            {dictionary.digest: dictionary for dictionary in dictionaries},
            keys,
            {study.digest: study for study in studies},
            _revocations(bundle, value),
            auditors,
            delta,
            _researcher_keys(bundle, value["researcher_keys"]),
        )


def _auditors(value: Any) -> dict[str, PublicKey]:
    require(isinstance(value, dict), "auditors is not an object")
    for name in value:
        require(name.startswith(AUDITOR), f"{name!r} is no auditor's name")
    return {name: PublicKey.from_text(str(text)) for name, text in value.items()}


def _researcher_keys(bundle: Bundle, value: Any) -> dict[str, ResearcherKey]:
    """Every change of a researcher's key by digest: none has two successors, or two owners."""
    changes = parse_changes(value)
    for change in changes:
        change.check(bundle.network)
    old, new = [each.old for each in changes], [each.new for each in changes]
    require(len(set(old)) == len(old), "a researcher's key has two successors")
    require(len(set(new)) == len(new), "a researcher's key was used before")
    for number, change in enumerate(changes):
        require(change.new not in old[: number + 1], "a researcher's key was used before")
    return {change.digest: change for change in changes}


def _revocations(bundle: Bundle, value: dict[str, Any]) -> dict[str, Revocation]:
    """Every list of revoked keys by digest; a later one never names fewer keys."""
    lists = [
        Revocation.from_json(body) for body in _signed(bundle, value, "revocations", "revocation")
    ]
    before: frozenset[str] = frozenset()
    for number, listed in enumerate(lists, 1):
        require(listed.network == bundle.network, "a list of revoked keys is of another network")
        require(listed.number == number, "a list of revoked keys is missing")
        require(before < listed.everything, "a revoked key was taken off the list")
        before = listed.everything
    return {listed.digest: listed for listed in lists}


def _signed(bundle: Bundle, value: dict[str, Any], field: str, kind: str) -> list[Any]:
    require(isinstance(value[field], list), f"{field} is not a list")
    found = [Envelope.from_json(item) for item in value[field]]
    return [each.open(kind, bundle.signer(Logged(kind), each.digest)) for each in found]


def read_plans(bundle: Bundle, network: Network) -> dict[str, Plan]:
    """Every plan by its digest: what its signed question gives under its study, and no other."""
    plans = {}
    for digest in bundle.named("plans"):
        name = f"plans/{digest}.json"
        body = _body(bundle, name, digest, "plan")
        with at(name):
            plans[digest] = Plan.from_json(body)
            _check_plan(plans[digest], network, bundle.coordinator)
    return plans


def _body(bundle: Bundle, name: str, digest: str, kind: str) -> Any:
    value = bundle.json(name)
    with at(name):
        envelope = Envelope.from_json(value)
        require(envelope.digest == digest, "is filed under another digest")
        require(envelope.kind == kind, f"is not a {kind}")
        signer = bundle.signer(Logged(kind), digest)
        require(envelope.key == signer, "is signed by another key")
        envelope.key.verify(kind, envelope.body, envelope.signature)
    return value["body"]


def _check_plan(plan: Plan, network: Network, coordinator: PublicKey) -> None:
    """Derive everything that costs privacy again from the researcher's signed question."""
    study = network.studies.get(plan.study_digest)
    if study is None:
        return  # no ledger may reserve for it: its entry is named
    dictionary = network.dictionaries.get(plan.dictionary)
    roster = network.rosters.get(plan.roster)
    require(study.id == plan.study, "names the study by another id")
    if dictionary is None or study.dictionary != plan.dictionary:
        raise VerificationFailed("dictionary is not in the bundle, or not the study's")
    if roster is None or not set(plan.participants) <= set(roster.keys):
        raise VerificationFailed("roster is not in the bundle, or does not hold its participants")
    require((plan.t_drop, plan.t_collude) == (study.t_drop, study.t_collude), "another margin")
    question = plan.open_question()
    require(question.study_digest == plan.study_digest, "question is about another study")
    try:
        own = derive(question, study, dictionary, plan.participants)
    except Refused as refused:
        raise VerificationFailed(f"question is not allowed: {refused}") from None
    what = disagreement(plan, question, own, study, dictionary)
    require(what is None, f"{what} is not what its question gives")
    try:
        check_reused(own.analysis, plan, coordinator)
    except Refused as refused:
        raise VerificationFailed(f"cannot reuse that release: {refused}") from None


def read_releases(bundle: Bundle, plans: dict[str, Plan]) -> dict[str, Release]:
    """Every release by its digest: signed, of a plan in the bundle, with its own figures."""
    releases: dict[str, Release] = {}
    seen: set[str] = set()
    for digest in bundle.named("releases"):
        name = f"releases/{digest}.json"
        body = _body(bundle, name, digest, "release")
        with at(name):
            release = _release(body)
            require(release.plan in plans, "plan is not in the bundle")
            require(release.plan not in seen, "is a second release of one plan")
            _check_release(body, release, plans[release.plan])
            seen.add(release.plan)
            releases[digest] = release
    for digest, release in releases.items():
        with at(f"releases/{digest}.json"):
            reused = reused_by(parse_analysis(plans[release.plan].analysis))
            known = reused is None or reused.release in releases
            require(known, "the release that it reuses is not in the bundle")
    _check_evidence(bundle, [each for found in releases.values() for each in found.rounds])
    return releases


def _check_evidence(bundle: Bundle, rounds: list[ReleasedRound]) -> None:
    """Nothing lies in the bundle that no release names."""
    for folder, ending, named in (
        ("transcripts", "json", {each.transcript for each in rounds}),
        ("states", "bin", {each.state for each in rounds}),
    ):
        for digest in bundle.named(folder):
            with at(f"{folder}/{digest}.{ending}"):
                require(digest in named, "belongs to no release")


def _release(body: Any) -> Release:
    match body:
        case {
            "plan": str(plan),
            "identity": str(identity),
            "totals": list(totals),
            "rounds": list(rounds),
        }:
            pass
        case _:
            raise BadInput("not a release")
    if not all(isinstance(text, str) for text in totals):
        raise BadInput("totals are a list of text")
    return Release(
        plan,
        identity,
        tuple(_integer(total) for total in totals),
        tuple(_released_round(each) for each in rounds),
    )


def _released_round(value: Any) -> ReleasedRound:
    match value:
        case {
            "survivors": list(survivors),
            "receipts": dict(receipts),
            "totals": str(totals),
            "transcript": str(transcript),
            "state": str(state),
        }:
            pass
        case _:
            raise BadInput("not a round of a release")
    if not all(isinstance(text, str) for text in survivors):
        raise BadInput("survivors are a list of text")
    if not all(isinstance(receipt, dict) for receipt in receipts.values()):
        raise BadInput("a receipt is not an object")
    return ReleasedRound(tuple(survivors), receipts, totals, transcript, state)


def _integer(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise BadInput("a total is not a whole number") from None
    if str(value) != text:
        raise BadInput("a total is not in its one spelling")
    return value


def _check_release(body: dict[str, Any], release: Release, plan: Plan) -> None:
    require(release.identity == plan.identity, "identity is not the plan's")
    require(body.get("delta") == plan.delta, "delta is not the plan's")
    require(len(release.rounds) == len(plan.rounds), "has another number of rounds than its plan")
    rho = Rho.ZERO
    for stated, found, planned in zip(body["rounds"], release.rounds, plan.rounds, strict=True):
        require(stated.get("mechanism") == planned.mechanism, "mechanism is not the plan's")
        cost = GaussianSum.from_json(planned.mechanism).rho
        require(stated.get("rho") == cost.text, "rho is not what its mechanism costs")
        _check_survivors(found, plan)
        rho += cost
    require(body.get("rho") == rho.text, "rho is not what its rounds cost")
    _check_epsilon(body.get("epsilon"), rho, parse_rational(plan.delta))
    last = plan.rounds[-1].length
    require(len(release.totals) == last, "has another number of totals than its plan")
    stated_last = release.rounds[-1].totals
    require(totals_digest(release.totals) == stated_last, "totals are not those of its last round")


def _check_survivors(found: ReleasedRound, plan: Plan) -> None:
    survivors = found.survivors
    require(list(survivors) == sorted(set(survivors)), "survivors are not sorted and distinct")
    require(set(survivors) <= set(plan.participants), "a survivor took no part in the plan")
    enough = max(len(plan.participants) - plan.t_drop, plan.t_collude + 2)
    require(len(survivors) >= enough, "has fewer survivors than its noise needs")
    require(set(survivors) == set(found.receipts), "receipts are not those of the survivors")


def _check_epsilon(stated: Any, rho: Rho, delta: Fraction) -> None:
    own = epsilon_of_rho(rho, delta)
    if not isinstance(stated, str) or not _DECIMAL.fullmatch(stated):
        raise VerificationFailed("epsilon is not decimal text")
    if not own <= float(stated) <= own * (1 + EPSILON_SLACK):
        raise VerificationFailed("epsilon is not that of its rho and delta")


def read_transcript(bundle: Bundle, digest: str) -> Any:
    """A transcript's JSON, filed under the digest its release names."""
    name = f"transcripts/{digest}.json"
    if name not in bundle.files:
        raise VerificationFailed("is missing", where=name)
    value = bundle.json(name)
    with at(name):
        stored = hashlib.sha256(bundle.read(name)).hexdigest()
        require(stored == digest, "is filed under another digest")
    return value


def read_state(bundle: Bundle, digest: str) -> bytes:
    """The bytes that a round was asked with, filed under their hash; none are filed for none."""
    if digest == NO_STATE:
        return b""
    name = f"states/{digest}.bin"
    if name not in bundle.files:
        raise VerificationFailed("is missing", where=name)
    data = bundle.read(name)
    if hashlib.sha256(data).hexdigest() != digest:
        raise VerificationFailed("is filed under another digest", where=name)
    return data
