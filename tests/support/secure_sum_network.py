"""An in-memory network that drives the secure sum's state machines, and lets a test interfere.

`Network.run` is the whole protocol in one function. A test loses nodes with `lost` (name ->
the first stage that the node no longer takes part in) and tampers with messages by a `Wire`
whose methods see every message on its way through the coordinator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privacy.contract.signing import Envelope, PublicKey, SigningKey
from privacy.secure_sum.aggregator import open_total
from privacy.secure_sum.attempt import Attempt, threshold
from privacy.secure_sum.channel import split_sealed
from privacy.secure_sum.participant import Opening, Session
from privacy.secure_sum.transcript import Transcript

Vector = NDArray[np.uint64]


def seeded_entropy(seed: str) -> Callable[[int], bytes]:
    """A reproducible stand-in for the system's randomness. Tests only."""
    calls = iter(range(2**62))

    def draw(n: int) -> bytes:
        return hashlib.shake_256(f"{seed}/{next(calls)}".encode()).digest(n)

    return draw


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


STRANGER = SigningKey(b"s" * 32)


def forged(envelope: Envelope, key: SigningKey, **changes: Any) -> Envelope:
    """The same statement with `changes`, signed by `key`."""
    body = envelope.to_json()["body"] | changes
    return Envelope.seal(envelope.kind, body, key)


class Stage(IntEnum):
    """What a node does in one attempt, in order."""

    MASK = 0
    CLAIM = 1
    SIGN = 2
    REVEAL = 3
    NEVER = 4


class Wire:
    """Every message passes here; the honest coordinator hands each on as it came."""

    def advert(self, sender: str, to: str, envelope: Envelope) -> Envelope:
        return envelope

    def sealed(self, sender: str, to: str, piece: bytes) -> bytes:
        return piece

    def attempt(self, to: str, attempt: Attempt) -> Attempt:
        return attempt

    def masked(self, sender: str, vector: Vector) -> Vector:
        return vector

    def claim(self, sender: str, to: str, envelope: Envelope) -> Envelope:
        return envelope

    def signature(self, sender: str, to: str, envelope: Envelope) -> Envelope:
        return envelope

    def reveal(self, sender: str, envelope: Envelope) -> Envelope:
        return envelope


COORDINATOR = "coordinator"


@dataclass
class Run:
    """What one attempt left behind, stage by stage."""

    attempt: Attempt
    openings: dict[str, Opening] = field(default_factory=dict)
    masked: dict[str, Vector] = field(default_factory=dict)
    claims: dict[str, Envelope] = field(default_factory=dict)
    lists: dict[str, Envelope] = field(default_factory=dict)
    reveals: dict[str, Envelope] = field(default_factory=dict)


class Network:
    """K nodes with pinned identity keys, one group, `sets` prepared sets each."""

    def __init__(
        self,
        nodes: int = 4,
        *,
        t_drop: int = 0,
        t_collude: int = 1,
        sets: int = 2,
        length: int = 8,
        seed: str = "network",
        wire: Wire | None = None,
    ) -> None:
        self.names = tuple(f"node-{i:02}" for i in range(nodes))
        self.t_drop, self.t_collude, self.length, self.seed = t_drop, t_collude, length, seed
        self.sets = sets
        self.roster = sha(f"roster of {nodes}")
        self.signing = {
            name: SigningKey(hashlib.sha256(f"{seed}/{name}".encode()).digest())
            for name in self.names
        }
        self.keys: dict[str, PublicKey] = {n: key.public for n, key in self.signing.items()}
        self.wire = wire or Wire()
        self.sessions: dict[str, Session] = {}
        self.blobs: dict[str, dict[str, bytes]] = {}

    @property
    def adverts(self) -> dict[str, Envelope]:
        return {name: session.advert for name, session in self.sessions.items()}

    def begin(self, name: str, *, again: str = "") -> Session:
        return Session.begin(
            name,
            self.signing[name],
            self.names,
            roster=self.roster,
            threshold=threshold(len(self.names), self.t_collude),
            sets=self.sets,
            entropy=seeded_entropy(f"{self.seed}/{name}/{again}"),
        )

    def adverts_for(self, to: str) -> dict[str, Envelope]:
        return {
            name: self.wire.advert(name, to, envelope) if name != to else envelope
            for name, envelope in self.adverts.items()
        }

    def prepare(self) -> Network:
        """Adverts and sealed shares: done once, ahead of any question."""
        self.sessions = {name: self.begin(name) for name in self.names}
        self.blobs = {
            name: session.share(self.adverts_for(name), self.keys)
            for name, session in self.sessions.items()
        }
        return self

    def attempt(self, set_index: int = 0, **changes: object) -> Attempt:
        facts: dict[str, object] = {
            "plan": sha("a plan"),
            "round": 0,
            "attempt": 0,
            "state": sha(""),
            "participants": self.names,
            "sessions": tuple(self.sessions[name].id for name in self.names),
            "roster": self.roster,
            "set_index": set_index,
            "t_drop": self.t_drop,
            "t_collude": self.t_collude,
            "length": self.length,
        }
        return Attempt(**(facts | changes))  # type: ignore[arg-type]

    def sealed_for(self, to: str, set_index: int) -> dict[str, bytes]:
        """Every peer's sealed piece of one set, as the coordinator forwards it."""
        return {
            name: self.wire.sealed(name, to, split_sealed(blobs[to])[set_index])
            for name, blobs in self.blobs.items()
            if name != to
        }

    def mask(self, run: Run, name: str, vector: Vector) -> None:
        attempt = self.wire.attempt(name, run.attempt)
        keys = self.sessions[name].take(attempt.set_index)
        masked, opening = keys.mask(attempt, vector, self.sealed_for(name, attempt.set_index))
        run.openings[name] = opening
        run.masked[name] = self.wire.masked(name, masked)

    def claim(self, run: Run, name: str) -> None:
        opening = run.openings[name]
        run.claims[name] = opening.claim(
            opening.masked_sha256, f"checkpoint of {name}", {"seq": 7, "leaf": sha(name)}
        )

    def sign(self, run: Run, name: str) -> None:
        claims = {
            sender: self.wire.claim(sender, name, envelope)
            for sender, envelope in run.claims.items()
        }
        run.lists[name] = run.openings[name].sign_list(claims)

    def reveal(self, run: Run, name: str) -> None:
        lists = [self.wire.signature(sender, name, each) for sender, each in run.lists.items()]
        run.reveals[name] = self.wire.reveal(name, run.openings[name].reveal(lists))

    def collect(
        self,
        vectors: Mapping[str, Vector],
        *,
        attempt: Attempt | None = None,
        lost: Mapping[str, Stage] | None = None,
        until: Stage = Stage.NEVER,
    ) -> Run:
        """Every stage before `until`, for every node that is not lost by then."""
        run = Run(attempt or self.attempt())
        gone = lost or {}
        steps = [
            lambda name: self.mask(run, name, vectors[name]),
            lambda name: self.claim(run, name),
            lambda name: self.sign(run, name),
            lambda name: self.reveal(run, name),
        ]
        for stage, step in zip(Stage, steps, strict=False):
            for name in vectors:
                if stage < until and stage < gone.get(name, Stage.NEVER):
                    step(name)
        return run

    def open(self, run: Run) -> tuple[NDArray[np.int64], Transcript]:
        return open_total(
            run.attempt,
            run.masked,
            adverts=self.adverts,
            claims={n: self.wire.claim(n, COORDINATOR, each) for n, each in run.claims.items()},
            lists=[self.wire.signature(n, COORDINATOR, each) for n, each in run.lists.items()],
            reveals=run.reveals,
            keys=self.keys,
        )

    def run(
        self,
        vectors: Mapping[str, Vector],
        *,
        attempt: Attempt | None = None,
        lost: Mapping[str, Stage] | None = None,
    ) -> tuple[NDArray[np.int64], Transcript]:
        return self.open(self.collect(vectors, attempt=attempt, lost=lost))

    def vectors(self, seed: int = 0, bound: int = 2**40) -> dict[str, Vector]:
        """A signed vector of `length` per node, as words modulo 2^64."""
        draw = np.random.default_rng(seed)
        return {
            name: draw.integers(-bound, bound, self.length, dtype=np.int64).view(np.uint64)
            for name in self.names
        }


def plain_total(vectors: Mapping[str, Vector], names: object = None) -> NDArray[np.int64]:
    """The oracle: a sum of Python integers, wrapped once at the end."""
    chosen = [v for n, v in vectors.items() if names is None or n in names]  # type: ignore[operator]
    columns = zip(*(v.view(np.int64).tolist() for v in chosen), strict=True)
    wrapped = [(sum(column) + 2**63) % 2**64 - 2**63 for column in columns]
    return np.array(wrapped, dtype=np.int64)
