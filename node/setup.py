"""Setting a node up, one step at a time; every decision becomes an entry of its ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime

from node.documents import Documents
from node.home import Home, Settings, write_private
from node.ledger_store import LedgerStore
from node.transport_key import new_transport_key, public_text, save_transport_key
from privacy.contract.dictionary import Dictionary
from privacy.contract.policy import Policy
from privacy.contract.roster import Roster, RosterNode
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import BadInput
from privacy.ledger.entry import (
    DictionaryAdopted,
    PolicySet,
    RosterPinned,
)
from privacy.ledger.steward_entry import PeriodOpened, Signed
from privacy.randomness import Entropy
from privacy.units import Rho

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
    """The first entries: whose ledger it is, the policy, the first period, the dictionary.

    The key that `create` made for the folder's steward signs the period.
    """
    steward = Token.parse(home.steward_token()).signing_key
    year = year_from(clock(), policy.public_rho, by)
    signed = Signed.of(steward, settings.node, settings.network, year.starts, year.word)
    Documents(home.documents, lambda: settings.coordinator).keep_dictionary(dictionary)
    ledger = LedgerStore.create(
        home.ledger_file,
        home.identity(),
        clock,
        node=settings.node,
        network=settings.network,
        delta=policy.delta_fraction,
        steward=steward.public,
    )
    try:
        ledger.append(PolicySet.of(policy, by))
        ledger.append(year.model_copy(update={"signed": signed}))
        ledger.append(DictionaryAdopted(dictionary=dictionary.digest))
    finally:
        ledger.close()


def year_from(now: datetime, budget: Rho, by: str) -> PeriodOpened:
    """A period of one year that starts now, for a steward to sign: nothing else renews a budget."""
    start = now.astimezone(UTC).replace(microsecond=0)
    try:
        end = start.replace(year=start.year + 1)
    except ValueError:  # 29 February
        end = start.replace(year=start.year + 1, day=28)
    return PeriodOpened(
        starts=instant_text(start),
        ends=instant_text(end),
        budget_rho=budget.text,
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
