"""Words that a steward's key has to sign: written here, signed wherever the key is, pasted back.

The console never asks for a key. It runs inside the node, and a key that came near it would be
one that whoever holds the node's folder could copy: then two keys would be one person.
"""

from __future__ import annotations

from typing import Any

from node.console.visit import Visit
from node.signing_text import ToSign, parse_signed
from node.steward import Steward
from privacy.errors import BadInput
from privacy.ledger.steward_entry import Signed
from privacy.ledger.stewards import founding_key

FIELD = "signature"


def to_sign(visit: Visit, word: dict[str, Any]) -> ToSign:
    """A word, as this organisation's stewards sign it."""
    settings = visit.parts.settings
    return ToSign(settings.node, settings.network, word)


def is_signed(visit: Visit) -> bool:
    """Whether the form brings a signature."""
    return bool(visit.form.value(FIELD))


def signer(visit: Visit) -> tuple[Steward, Signed]:
    """The signature in the form, and the node in the name of the steward whose key made it.

    The key made with the node signs, until somebody joins, in the name of who is signed in.

    Raises BadInput for a line that is none, and for a key that is no steward's here.
    """
    signed = parse_signed(visit.form.value(FIELD))
    named = {each["key"]: each["name"] for each in visit.steward.stewards() if each["key"]}
    named |= {founding_key(visit.parts.service.ledger.state): visit.session.member}
    if signed.key not in named:
        raise BadInput("signed by no steward's key here", instead="sign with a key that joined")
    return Steward(visit.parts, named[signed.key]), signed


def has_stewards(visit: Visit) -> bool:
    """Whether anybody joined with a key of their own."""
    return bool(visit.parts.service.ledger.state.stewards)


def policy_needs_key(visit: Visit) -> bool:
    """A policy that asks for two stewards is changed with a key alone, once somebody has one."""
    return visit.parts.service.policy.rules.approvers > 1 and has_stewards(visit)
