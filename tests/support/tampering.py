"""A ledger of 500 entries of an honest network, and every way in which somebody may change one."""

from __future__ import annotations

import random
from collections.abc import Iterator

from privacy.ledger.entry import Body, ConsentText, Paused, Resumed, Witnessed
from tests.support.bundle_factory import NODES, Network
from tests.support.ledger_factory import BY, digest_of

ENTRIES = 500
NODE = NODES[0]


def busy_network(entries: int = ENTRIES, asks: int = 50, seed: int = 1) -> Network:
    """One node's ledger has exactly so many entries, of all that happens in a node's life.

    Everything is witnessed by the coordinator and a peer at the end.
    """
    rng, network = random.Random(seed), Network(study_changes={"epsilon_allowance": "50"})
    ledger = network.ledgers[NODE]
    between = (entries - len(ledger.entries) - 3 * asks) // asks
    for _ in range(asks):
        network.ask("0.05")
        _live(rng, network, between)
    _live(rng, network, entries - len(ledger.entries))
    for node in NODES:
        network.witness("coordinator", node)
        network.witness(NODES[1] if node == NODE else NODE, node)
        network.witness_log(node)
    return network


def _live(rng: random.Random, network: Network, entries: int) -> None:
    """Other things that happen at the one node."""
    ledger = network.ledgers[NODE]
    until = len(ledger.entries) + entries
    while len(ledger.entries) < until:
        network.tick(rng.randrange(1, 30))
        if ledger.state.paused:
            ledger.append(Resumed(by=BY))
            continue
        last = len(ledger.entries) == until - 1
        ledger.append(_something(rng, ledger.state.size, may_pause=not last))


def _something(rng: random.Random, size: int, may_pause: bool) -> Body:
    text = ConsentText(purpose="research", language="de", text=digest_of(f"{size}"), by=BY)
    peers = Witnessed(nonce=f"{rng.getrandbits(64):016x}", peers=NODES[1:], size=size)
    return rng.choice([text, peers, Paused(by=BY)] if may_pause else [text, peers])


def edits(lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Every drop, every swap of neighbours, every duplicate, every truncation, by name."""
    for at in range(len(lines)):
        yield f"drop {at}", [*lines[:at], *lines[at + 1 :]]
        yield f"twice {at}", [*lines[: at + 1], *lines[at:]]
        yield f"cut at {at}", lines[:at]
    for at in range(len(lines) - 1):
        yield f"swap {at}", [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def flipped(line: bytes, at: int) -> bytes:
    """One bit of one byte is another; which bit goes by the place."""
    return line[:at] + bytes([line[at] ^ (1 << at % 8)]) + line[at + 1 :]


def random_edit(rng: random.Random, lines: list[bytes]) -> tuple[str, list[bytes]]:
    """One change of any kind."""
    at, to = sorted(rng.sample(range(len(lines)), 2))
    byte = rng.randrange(len(lines[at]))
    return rng.choice(
        [
            (f"bit {at}", [*lines[:at], flipped(lines[at], byte), *lines[at + 1 :]]),
            (f"drop {at}", [*lines[:at], *lines[at + 1 :]]),
            (f"twice {at}", [*lines[:to], lines[at], *lines[to:]]),
            (f"cut at {at}", lines[:at]),
            (
                f"swap {at} {to}",
                [*lines[:at], lines[to], *lines[at + 1 : to], lines[at], *lines[to + 1 :]],
            ),
        ]
    )
