"""A node process that answers every packet with itself, or as its header says.

python -m tests.support.echo_node HOST:PORT CA_FILE KEY_FILE
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from node.flower_agent import FlowerAgent
from node.flower_app import build_client_app, each
from node.transport_key import load_transport_key
from privacy.contract.packet import Packet
from privacy.errors import Code, Refused

CANARY = "Marie-Curie-7f3a"


def echo(packet: Packet) -> Packet:
    """`sleep:S` waits, `fail` raises with a canary, `refuse` refuses, `pid` tells; else echo."""
    word, _, value = packet.header.decode("utf-8", "replace").partition(":")
    match word:
        case "sleep":
            time.sleep(float(value))
        case "fail":
            raise ValueError(f"no such member: {CANARY}")
        case "refuse":
            raise Refused(Code.BUDGET_EXCEEDED, needed=CANARY)
        case "grow":
            return Packet(packet.header, bytes(int(value)))
        case "pid":
            return Packet(str(os.getpid()).encode())
    return packet


def main(superlink: str, ca_file: str, key_file: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    app = build_client_app(each(echo))
    FlowerAgent(superlink, Path(ca_file), load_transport_key(Path(key_file)), app).run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
