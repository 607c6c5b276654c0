"""The coordinator's key in a bundle: every change of it, and the key that an auditor knows.

Guarantee: a statement counts only with the key that was in force at its line of the log, and a
key that the auditor knew only as far as each key signed the next. So a former key, in whoever's
hands, makes nothing that is not in the log already.
"""

from __future__ import annotations

from collections.abc import Sequence

from privacy.contract.coordinator_key import CoordinatorKey, check_chain, followed, key_after
from privacy.contract.signing import PublicKey
from privacy.errors import VerificationFailed


def chained(
    changes: Sequence[CoordinatorKey], stated: PublicKey, pinned: PublicKey | None, network: str
) -> PublicKey:
    """The key in force with those before it, which has to follow from the `pinned` one.

    Raises VerificationFailed.
    """
    check_chain(changes, network)
    key = key_after(changes, stated)
    if key != stated:
        raise VerificationFailed("is signed by another key than its changes lead to")
    if pinned is not None and pinned != key:
        signed = followed(changes, pinned.text)
        if not signed or signed[-1].new != key.text:
            raise VerificationFailed(
                "the coordinator's key was replaced without the word of the one known: compare "
                f"{key.fingerprint} with its operator"
            )
    return key


def check_lines(changes: Sequence[CoordinatorKey], logged: Sequence[str]) -> None:
    """Every change is the line of the log that it names; `logged` are the lines' statements."""
    for change in changes:
        if change.until >= len(logged) or logged[change.until] != change.digest:
            raise VerificationFailed(
                "is another line than the change of the coordinator's key names",
                where=f"entry {change.until}",
            )
