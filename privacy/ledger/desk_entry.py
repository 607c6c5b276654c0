"""What stewards and patient reviewers say of studies and questions, and in whose name one is asked.

Bodies of ledger entries, like those in `privacy.ledger.entry`.
"""

from __future__ import annotations

from typing import Literal

from privacy.contract.facts import Sorted
from privacy.contract.study import KeyText
from privacy.ledger.fields import Digest, Instant, Name, RhoText, Words
from privacy.ledger.steward_entry import Signed


class Endorsement(Sorted):
    """The first of two stewards approves one version of a study; the second's is the decision."""

    kind: Literal["endorsement"] = "endorsement"
    study: Name
    study_digest: Digest
    by: Name
    reason: Words
    signed: Signed | None = None


class Reviewed(Sorted):
    """A patient reviewer of this organisation signed a study version off.

    `key` is the reviewer's, held by the organisation; `statement` the digest of what it signed.
    """

    kind: Literal["reviewed"] = "reviewed"
    study: Name
    study_digest: Digest
    reviewer: Name
    key: KeyText
    statement: Digest
    by: Name


class QuestionDecided(Sorted):
    """A steward looked at one question of a study; `mark` names it, whoever asks it and when."""

    kind: Literal["question"] = "question"
    mark: Digest
    study: Name
    sentence: Words
    decision: Literal["allowed", "refused"]
    by: Name
    reason: Words


class Delegated(Sorted):
    """The leave under which a delegate signed: its digest, the delegate's key, cap and end."""

    statement: Digest
    key: KeyText
    rho: RhoText
    expires: Instant
