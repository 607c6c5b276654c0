"""The coordinator's part: equal pseudonyms are one person, counted at one of their places.

Guarantee: of every set of equal pseudonyms exactly one place counts. Which one follows from the
pseudonym and the session alone, evenly among the organisations, and nobody can choose it.
Assumes: every list was raised by every node. The coordinator learns how many pseudonyms every
set of organisations has in common, dummies included (see `privacy.linkage.dummies`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import ProtocolError
from privacy.linkage.raising import split_points
from privacy.linkage.session import LinkAdvert, LinkSession, open_finished, open_list


def finished(
    session: LinkSession,
    lists: Mapping[str, tuple[Envelope, bytes]],
    adverts: Mapping[str, LinkAdvert],
    keys: Mapping[str, PublicKey],
) -> dict[str, list[bytes]]:
    """Every organisation's pseudonyms; raises ProtocolError unless all raised all lists."""
    done: dict[str, list[bytes]] = {}
    for owner in session.nodes:
        if owner not in lists:
            raise ProtocolError("a list is missing", sender=owner)
        envelope, points = lists[owner]
        open_list(session, envelope, points, keys)
        if open_finished(session, envelope, keys).owner != owner:
            raise ProtocolError("a list under another's name", sender=owner)
        done[owner] = split_points(points, adverts[owner].size)
    return done


def counted_elsewhere(
    session: LinkSession, pseudonyms: Mapping[str, list[bytes]]
) -> dict[str, bytes]:
    """For every organisation one bit a place: is this pseudonym counted by another?"""
    holders: dict[bytes, list[str]] = {}
    for node in session.nodes:
        for pseudonym in pseudonyms[node]:
            holders.setdefault(pseudonym, []).append(node)
    bits = {node: bytearray(-(-len(pseudonyms[node]) // 8)) for node in session.nodes}
    for node in session.nodes:
        for place, pseudonym in enumerate(pseudonyms[node]):
            nodes = holders[pseudonym]
            if len(nodes) > 1 and _chosen(session, pseudonym, nodes) != node:
                bits[node][place // 8] |= 1 << place % 8
    return {node: bytes(each) for node, each in bits.items()}


def _chosen(session: LinkSession, pseudonym: bytes, nodes: list[str]) -> str:
    drawn = hashlib.sha256(session.digest.encode() + pseudonym).digest()
    return nodes[int.from_bytes(drawn, "big") % len(nodes)]
