"""Requests from the coordinator to a node and the node's replies, signed end to end.

The transport may lose, repeat or forge; a request counts only with the coordinator's
signature, a reply only with the node's, and a reply names the request it answers.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

from privacy.contract.canonical import parse_canonical
from privacy.contract.facts import Fact
from privacy.contract.packet import Packet
from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.errors import BadInput, Code, Refused, VerificationFailed


class Ask(StrEnum):
    """Everything a coordinator can ask of a node. There is no other door."""

    HELLO = "hello"
    FOLLOW_KEY = "follow-key"
    OFFER_ROSTER = "offer-roster"
    OFFER_STUDY = "offer-study"
    STUDY_STEPS = "study-steps"
    OFFER_REVOCATION = "offer-revocation"
    OFFER_SUCCESSORS = "offer-successors"
    WITNESS = "witness"
    WITNESS_ANSWERS = "witness-answers"
    GROWTH = "growth"
    COSIGN = "cosign"
    PREPARE_KEYS = "prepare-keys"
    PREPARE_SHARES = "prepare-shares"
    RESERVE = "reserve"
    CONTRIBUTE = "contribute"
    SIGN_SURVIVORS = "sign-survivors"
    REVEAL = "reveal"
    OUTCOME = "outcome"
    LEDGER = "ledger"
    LINK_BEGIN = "link-begin"
    LINK_MEET = "link-meet"
    LINK_LIST = "link-list"
    LINK_RAISE = "link-raise"
    LINK_VOUCH = "link-vouch"
    LINK_LEARN = "link-learn"
    LINK_KEEP = "link-keep"
    LINK_END = "link-end"


class Request(Fact):
    """One request. `blob` is the SHA-256 of the packet's binary part."""

    to: str
    ask: Ask
    id: str
    at: str
    payload: dict[str, Any]
    blob: str


class Reply(Fact):
    """The answer to one request: `code` is empty, or why the node refuses."""

    sender: str
    request: str
    code: str
    fields: dict[str, str]
    payload: dict[str, Any]
    blob: str


def _sha(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def seal_request(
    key: SigningKey,
    to: str,
    ask: Ask,
    payload: dict[str, Any],
    blob: bytes = b"",
    *,
    request_id: str,
    at: str,
) -> Packet:
    """A signed request as a packet."""
    request = Request(to=to, ask=ask, id=request_id, at=at, payload=payload, blob=_sha(blob))
    return Packet(Envelope.seal("request", request.to_json(), key).to_bytes(), blob)


def open_request(packet: Packet, key: PublicKey, me: str) -> Request:
    """The request, if the coordinator signed it for this node; raises otherwise."""
    envelope = Envelope.from_json(parse_canonical(packet.header))
    request = Request.from_json(envelope.open("request", key))
    if request.to != me:
        raise VerificationFailed("request is for another node")
    if request.blob != _sha(packet.blob):
        raise VerificationFailed("request and its binary part do not belong together")
    return request


def seal_reply(
    key: SigningKey, sender: str, request: str, payload: dict[str, Any], blob: bytes = b""
) -> Packet:
    """A signed answer as a packet."""
    reply = Reply(
        sender=sender, request=request, code="", fields={}, payload=payload, blob=_sha(blob)
    )
    return Packet(Envelope.seal("reply", reply.to_json(), key).to_bytes(), blob)


def seal_refusal(key: SigningKey, sender: str, request: str, refused: Refused) -> Packet:
    """A signed refusal: a catalogue code and public fields, nothing else."""
    reply = Reply(
        sender=sender,
        request=request,
        code=refused.code.value,
        fields={name: str(value) for name, value in refused.public_fields.items()},
        payload={},
        blob=_sha(b""),
    )
    return Packet(Envelope.seal("reply", reply.to_json(), key).to_bytes(), b"")


def open_reply(packet: Packet, key: PublicKey, sender: str, request_id: str) -> Reply:
    """The reply, if `sender` signed it in answer to `request_id`; raises Refused if it refuses."""
    envelope = Envelope.from_json(parse_canonical(packet.header))
    reply = Reply.from_json(envelope.open("reply", key))
    if reply.sender != sender or reply.request != request_id:
        raise VerificationFailed("reply does not answer this request")
    if reply.blob != _sha(packet.blob):
        raise VerificationFailed("reply and its binary part do not belong together")
    if reply.code:
        raise Refused(_code(reply.code), **reply.fields)
    return reply


def _code(text: str) -> Code:
    try:
        return Code(text)
    except ValueError:
        raise BadInput("a code outside the catalogue") from None
