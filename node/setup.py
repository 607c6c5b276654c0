"""Setting a node up, one step at a time; every decision becomes an entry of its ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime

from node.documents import Documents
from node.home import Home, Settings, write_private
from node.ledger_store import LedgerStore
from node.transport_key import new_transport_key, public_text, save_transport_key
from privacy.contract.canonical import canonical_bytes, parse_canonical
from privacy.contract.dictionary import Dictionary
from privacy.contract.roster import Roster, RosterNode
from privacy.contract.signing import SigningKey
from privacy.contract.study import Policy, Study
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import BadInput, VerificationFailed
from privacy.ledger.entry import (
    Approval,
    DictionaryAdopted,
    PeriodOpened,
    PolicySet,
    RosterPinned,
)
from privacy.randomness import Entropy

Clock = Callable[[], datetime]
Step = Callable[[str], None]


def create(home: Home, settings: Settings, ca: str, *, entropy: Entropy) -> RosterNode:
    """Make the folder, the keys and the steward's token; returns what the roster needs."""
    if home.settings_file.exists():
        raise BadInput("a node lives here already", where=str(home.root))
    home.root.mkdir(parents=True, exist_ok=True)
    home.root.chmod(0o700)
    key = SigningKey(entropy(32))
    home.write_identity(key)
    transport = new_transport_key()
    save_transport_key(transport, home.transport_file)
    write_private(home.ca_file, ca.encode())
    write_private(home.steward_file, Token.new(Role.STEWARD, entropy).text.encode() + b"\n")
    home.write_settings(settings)
    return RosterNode(
        id=settings.node,
        name=settings.name,
        key=key.public.text,
        transport_key=public_text(transport),
    )


def undo(home: Home) -> None:
    """Take back `create`, so that nothing of a node that could not join is left behind."""
    for path in (
        home.identity_file,
        home.transport_file,
        home.steward_file,
        home.ca_file,
        home.settings_file,
    ):
        path.unlink(missing_ok=True)
    home.identity_file.parent.rmdir()


def open_ledger(home: Home, clock: Clock, reached: Step = lambda _step: None) -> LedgerStore:
    """The node's ledger, verified from its first entry to its last."""
    return LedgerStore.open(home.ledger_file, home.identity(), clock, reached=reached)


def begin_ledger(
    home: Home,
    settings: Settings,
    policy: Policy,
    dictionary: Dictionary,
    *,
    by: str,
    clock: Clock,
) -> None:
    """The first entries: whose ledger it is, the policy, the first period, the dictionary."""
    write_private(home.policy_file, canonical_bytes(policy.to_json()))
    Documents(home.documents, settings.coordinator).keep_dictionary(dictionary)
    ledger = LedgerStore.create(
        home.ledger_file,
        home.identity(),
        clock,
        node=settings.node,
        network=settings.network,
        delta=policy.delta_fraction,
    )
    try:
        ledger.append(policy_entry(policy, by))
        ledger.append(year_from(clock(), policy, by))
        ledger.append(DictionaryAdopted(dictionary=dictionary.digest))
    finally:
        ledger.close()


def read_policy(home: Home) -> Policy:
    """The organisation's policy; raises BadInput when the node was not set up."""
    try:
        return Policy.from_json(parse_canonical(home.policy_file.read_bytes()))
    except FileNotFoundError:
        raise BadInput("the node has no policy", where=str(home.policy_file)) from None


def policy_in_force(home: Home, ledger: LedgerStore) -> Policy:
    """The policy, which must be the one that the ledger records.

    Raises VerificationFailed for a file that was changed: limits change by an entry alone.
    """
    policy, state = read_policy(home), ledger.state
    recorded = state.policy
    same = recorded is not None and recorded == policy_entry(policy, recorded.by)
    if not same or policy.delta_fraction != state.delta:
        raise VerificationFailed("is not the policy in the ledger", where=str(home.policy_file))
    return policy


def policy_entry(policy: Policy, by: str) -> PolicySet:
    return PolicySet(
        yearly_rho=policy.yearly_rho.text,
        min_nodes=policy.min_nodes,
        min_collude=policy.min_collude,
        max_drop=policy.max_drop,
        min_cohort=policy.min_cohort,
        max_memberships=policy.max_memberships,
        by_organisation=policy.by_organisation,
        by=by,
    )


def year_from(now: datetime, policy: Policy, by: str) -> PeriodOpened:
    """A period of one year that starts now: the only way a budget is ever renewed."""
    start = now.astimezone(UTC).replace(microsecond=0)
    try:
        end = start.replace(year=start.year + 1)
    except ValueError:  # 29 February
        end = start.replace(year=start.year + 1, day=28)
    return PeriodOpened(
        starts=instant_text(start),
        ends=instant_text(end),
        budget_rho=policy.yearly_rho.text,
        by=by,
    )


def confirm_roster(
    ledger: LedgerStore, roster: Roster, fingerprints: Collection[str], *, by: str
) -> None:
    """Pin `roster` with the fingerprints that a steward compared out of band."""
    known = {key.fingerprint for key in roster.keys.values()}
    unknown = set(fingerprints) - known
    if unknown:
        raise BadInput(
            "a fingerprint is not in the roster", instead="compare the fingerprints again"
        )
    ledger.append(
        RosterPinned(
            roster=roster.digest,
            epoch=roster.epoch,
            confirmed=tuple(sorted(fingerprints)),
            by=by,
        )
    )


def decide_study(
    ledger: LedgerStore, study: Study, decision: str, *, by: str, reason: str = ""
) -> None:
    """Record the organisation's decision on one version of a study."""
    match decision:
        case "approved" | "refused" | "withdrawn":
            ledger.append(
                Approval(
                    study=study.id,
                    study_digest=study.digest,
                    rho=study.rho.text,
                    decision=decision,
                    by=by,
                    reason=reason,
                )
            )
        case _:
            raise BadInput(
                f"no decision {decision!r}", instead="write approved, refused or withdrawn"
            )
