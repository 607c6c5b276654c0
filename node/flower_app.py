"""The node's answer to a message, as a Flower ClientApp. Flower's public API only.

Each packet of a batch is handled by itself: one that fails becomes a catalogue code and its
neighbours are answered as if it had not been there. No exception text leaves this module, and
none is logged: a text can quote a member's value. The log names the class and the line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import service.flower_env  # noqa: F401  (first: flwr reads the environment when imported)

# isort: split
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from privacy.contract.packet import RECORD, Packet, pack_replies, unpack
from privacy.errors import BadInput, Code, Refused
from service.logs import whereabouts

Handle = Callable[[Packet], Packet]
HandleAll = Callable[[Sequence[Packet]], Sequence[Packet | Code]]

_log = logging.getLogger(__name__)


def build_client_app(handle_all: HandleAll) -> ClientApp:
    """A ClientApp whose one handler (`query`) answers a batch of packets with `handle_all`.

    `handle_all` gives one reply per packet, in order (see `each`).
    """

    def answer(message: Message, context: Context) -> Message:  # noqa: ARG001
        record = ConfigRecord(dict(pack_replies(_answers(handle_all, message))))
        return Message(RecordDict({RECORD: record}), reply_to=message)

    app = ClientApp()
    app.query()(answer)
    return app


def each(handle: Handle) -> HandleAll:
    """Answer the packets of a batch one by one; one that fails leaves the others alone."""
    return lambda packets: [_answer(handle, packet) for packet in packets]


def _answers(handle_all: HandleAll, message: Message) -> Sequence[Packet | Code]:
    record = message.content.get(RECORD) if message.has_content() else None
    if not isinstance(record, ConfigRecord):
        return [Code.BAD_REQUEST]
    try:
        packets = unpack(record)
    except BadInput:
        return [Code.BAD_REQUEST]
    return handle_all(packets)


def _answer(handle: Handle, packet: Packet) -> Packet | Code:
    try:
        reply = handle(packet)
    except Refused as refusal:
        return refusal.code
    except Exception as error:  # noqa: BLE001  (the node's job boundary)
        _log.error("a packet failed: %s", whereabouts(error))
        return Code.INTERNAL
    return reply if isinstance(reply, Packet) else Code.INTERNAL
