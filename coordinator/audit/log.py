"""The coordinator's log in a bundle: every line, who vouches for it, and every statement it names.

Guarantee: with a log that verifies, every roster, dictionary, study, step, list of revoked keys,
plan and release of the bundle stands in one order that no witness saw otherwise, and whatever the
log names is there, but for releases newer than what was settled when the bundle was begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from coordinator.audit.bundle import LOG_FOLDER, LOG_LINES, STEPS, Bundle
from coordinator.audit.documents import Network, Release, at, require
from coordinator.audit.held import HeldBy, text_of, witnesses_of
from coordinator.audit.key_chain import check_lines
from privacy.checkpoint import LOG, log_origin, open_checkpoint
from privacy.contract.canonical import parse_canonical
from privacy.contract.plan import Plan
from privacy.contract.researcher_key import Successors, standing
from privacy.contract.signing import Envelope
from privacy.contract.study_life import Act, Life, Signer, StudyStep, open_sign_off, open_step
from privacy.errors import Refused, VerificationFailed
from privacy.ledger.chain import Anchor, check_anchors, check_covered
from privacy.log import LogEntry, Logged
from privacy.merkle import Tree
from privacy.secure_sum.attempt import fewest_nodes


@dataclass(frozen=True)
class Log:
    """The log as it was read: its tree, its lines by statement, and who vouches for it."""

    tree: Tree
    entries: tuple[LogEntry, ...]
    steps: tuple[StudyStep, ...]
    vouched: HeldBy
    published: Mapping[str, StudyStep]  # by digest, the steps that made results public


def read_log(bundle: Bundle, network: Network, stored: Mapping[Logged, Iterable[str]]) -> Log:
    """Every line of the log, against its signed head and the statements of the bundle.

    `stored` are the digests of what the bundle holds. Raises VerificationFailed naming the file
    and its first bad entry. Witnesses are compared by `check_log`.
    """
    steps = _read_steps(bundle, network)
    known = {kind: frozenset(digests) for kind, digests in stored.items()}
    known[Logged.STEP] = frozenset(steps)
    tree, entries = Tree(), list[LogEntry]()
    with at(LOG_LINES):
        for number, line in enumerate(bundle.lines(LOG_LINES)):
            with at(f"entry {number}"):
                entry = LogEntry.from_bytes(line)
                require(entry.seq == number, f"numbered {entry.seq}: out of order or missing")
                _check_statement(bundle, entry, known)
            entries.append(entry)
            tree.append(entry.leaf)
    with at(LOG_LINES):
        check_lines(bundle.changes, [entry.statement for entry in entries])
    bundle.read(LOG_LINES)
    _check_logged(known, entries)
    _check_lives(network, entries, steps)
    vouched = witnesses_of(bundle, network, LOG)
    published = {digest: step for digest, step in steps.items() if step.act is Act.PUBLISH}
    return Log(tree, tuple(entries), tuple(steps.values()), vouched, published)


def check_log(bundle: Bundle, log: Log, seen: Iterable[Anchor]) -> None:
    """Hold the log against its head, its cosigners and every head that nodes say they saw."""
    name = f"{LOG_FOLDER}/checkpoint.txt"
    with at(name):
        origin = log_origin(bundle.network)
        head = open_checkpoint(text_of(bundle.read(name)), bundle.coordinator, origin)
    with at(LOG_LINES):
        anchors = [Anchor(head.size, head.root, "the coordinator"), *log.vouched.anchors, *seen]
        check_anchors(log.tree, anchors)
        check_covered(log.tree, head)


def _check_statement(
    bundle: Bundle, entry: LogEntry, known: Mapping[Logged, frozenset[str]]
) -> None:
    if entry.kind is Logged.PEOPLE or entry.statement in known[entry.kind]:
        return
    later = entry.kind is Logged.RELEASE and entry.seq >= bundle.settled
    require(later, f"names a {entry.kind.value} that is not in the bundle")


def _check_logged(known: Mapping[Logged, frozenset[str]], entries: Iterable[LogEntry]) -> None:
    """Nothing lies in the bundle that the log does not name."""
    logged = {(entry.kind, entry.statement) for entry in entries}
    for kind, digests in known.items():
        for digest in sorted(digests):
            with at(_place(kind, digest)):
                require((kind, digest) in logged, "is not in the coordinator's log")


def _place(kind: Logged, digest: str) -> str:
    match kind:
        case Logged.PLAN | Logged.RELEASE | Logged.LINKAGE:
            return f"{kind.value}s/{digest}.json"
        case Logged.STEP:
            return f"{STEPS}: {digest}"
        case _:
            return f"network.json: {kind.value} {digest}"


def _read_steps(bundle: Bundle, network: Network) -> dict[str, StudyStep]:
    """Every step in the life of a study, by digest, signed by who may take it."""
    found: dict[str, StudyStep] = {}
    with at(STEPS):
        for number, line in enumerate(bundle.lines(STEPS)):
            with at(f"entry {number}"):
                envelope = Envelope.from_json(parse_canonical(line))
                require(envelope.digest not in found, "is there twice")
                found[envelope.digest] = _open_step(bundle, network, envelope)
    bundle.read(STEPS)
    return found


def _open_step(bundle: Bundle, network: Network, envelope: Envelope) -> StudyStep:
    study = network.studies.get(_study_of(envelope))
    if study is None:
        raise VerificationFailed("is about a study that is not in the bundle")
    signer = bundle.signer(Logged.STEP, envelope.digest)
    keys = standing(study.keys, _successors(bundle, network, envelope))
    step = open_step(envelope, study, signer, network.keys, investigators=keys)
    if step.act is Act.REVIEW:
        open_sign_off(step)
    return step


def _successors(bundle: Bundle, network: Network, step: Envelope) -> Successors:
    """Which researchers' keys had another in their place where a step stands in the log."""
    if not network.researcher_keys:
        return {}
    place = bundle.place(Logged.STEP, step.digest)
    changes = [
        (bundle.place(Logged.RESEARCHER_KEY, digest), change)
        for digest, change in network.researcher_keys.items()
    ]
    earlier = (c for at_, c in changes if at_ is not None and place is not None and at_ < place)
    return {change.old: change.new for change in earlier}


def _study_of(envelope: Envelope) -> str:
    body = parse_canonical(envelope.body)
    return str(body.get("study_digest", "")) if isinstance(body, dict) else ""


def _check_lives(
    network: Network, entries: Iterable[LogEntry], steps: Mapping[str, StudyStep]
) -> None:
    """Every study lived by the rules, in the order of the log and in the network of its day."""
    nodes, lives = 0, dict[str, Life]()
    for entry in entries:
        if entry.kind is Logged.ROSTER:
            nodes = len(network.rosters[entry.statement].nodes)
        if entry.kind is not Logged.STEP:
            continue
        step = steps[entry.statement]
        study = network.studies[step.study_digest]
        needed = fewest_nodes(study.t_drop, study.t_collude)
        life = lives.get(study.digest) or Life.draft(study, nodes, needed)
        with at(f"{STEPS}: {entry.statement}"):
            try:
                lives[study.digest] = replace(life, organisations=nodes).after(step)
            except Refused as refused:
                raise VerificationFailed(f"is out of turn: {refused}") from None


@dataclass(frozen=True)
class Decided:
    """What a ledger holds of its organisation's decisions, up to the instant of its last entry."""

    decisions: frozenset[tuple[str, str]]  # (study version, act)
    until: str


def check_publications(
    log: Log, plans: Mapping[str, Plan], releases: Mapping[str, Release]
) -> None:
    """What a study published with its results are its own releases, in the log before it was.

    One that the bundle does not hold yet is in the log all the same, as `read_log` has seen.
    """
    released = {e.statement: e.seq for e in log.entries if e.kind is Logged.RELEASE}
    for entry in log.entries:
        step = log.published.get(entry.statement)
        for each in () if step is None else step.releases:
            with at(f"{STEPS}: {entry.statement}"):
                before = each in released and released[each] < entry.seq
                require(before, f"publishes {each}, which was not released before")
                if step is not None and each in releases:
                    own = plans[releases[each].plan].study == step.study
                    require(own, f"publishes {each}, which is of another study")


def check_decisions(steps: Iterable[StudyStep], said: Mapping[str, Decided]) -> None:
    """What organisations decided stands in their ledgers, as far as the bundle holds these."""
    for step in steps:
        if step.signer is not Signer.ORGANISATION or step.by not in said:
            continue
        ledger = said[step.by]
        holds = (step.study_digest, step.act.value) in ledger.decisions
        with at(f"{STEPS}: {step.study} version {step.version}, {step.act.value} by {step.by}"):
            require(holds or step.at >= ledger.until, "is not in the ledger of who decided")
