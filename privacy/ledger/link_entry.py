"""What a ledger says of linkages: begun and charged, in force, ended. Bodies of ledger entries."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from privacy.contract.facts import Sorted
from privacy.ledger.fields import Count, Digest, Name, Positive, RhoText, Words

LastDay = Annotated[str, StringConstraints(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z")]


class LinkBegun(Sorted):
    """A linkage is charged, before a member is looked up; whatever becomes of it.

    `session` is the digest of what the coordinator signed, `room` what this node declared. What
    it costs is what the numbers of persons that organisations share tell: they carry noise of
    standard deviation 2^log2_sigma, and a membership moves two of them by one each.
    """

    kind: Literal["link-begun"] = "link-begun"
    session: Digest
    nodes: Annotated[tuple[Name, ...], Field(min_length=3, max_length=8)]
    fields: Annotated[tuple[Words, ...], Field(min_length=1, max_length=8)]
    room: Positive
    ends: LastDay
    log2_sigma: Count
    rho: RhoText


class Linked(Sorted):
    """The linkage is in force from now on: every node of it learnt by this one transcript."""

    kind: Literal["linked"] = "linked"
    session: Digest
    transcript: Digest


class LinkEnded(Sorted):
    """A linkage came to nothing (`why` is a code, `by` empty), or a steward ended it."""

    kind: Literal["link-ended"] = "link-ended"
    session: Digest
    why: Words
    by: Annotated[str, StringConstraints(max_length=128)] = ""


LinkBody = LinkBegun | Linked | LinkEnded


class Linkage(Sorted):
    """A linkage in force, as a ledger's balances hold it."""

    begun: LinkBegun
    transcript: Digest

    @property
    def session(self) -> str:
        return self.begun.session

    def holds(self, at: str) -> bool:
        """Whether its last day is not over at instant `at`."""
        return at[:10] <= self.begun.ends
