"""The secure sum beside Flower's SecAgg+: same nodes, same vectors, one node lost, one process.

Both sides run every stage of their protocol for every node, keys included: set up, share keys,
mask (all nodes; one reply is lost), reveal, open. Flower's node side is its own code
(`secaggplus_mod`'s stage functions); its server side calls the same helpers in the same order
as `secaggplus_workflow`. Neither side pays for a network.
Vectors pass as bytes on both.

    python -m bench.bench_secure_sum [--quick]
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from flwr.app import ConfigRecord
from flwr.common import bytes_to_ndarray, ndarrays_to_parameters
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
from flwr.common.secure_aggregation.ndarrays_arithmetic import (
    factor_extract,
    get_parameters_shape,
    parameters_addition,
    parameters_mod,
    parameters_subtraction,
)
from flwr.common.secure_aggregation.quantization import dequantize
from flwr.common.secure_aggregation.secaggplus_constants import Key
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen
from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key
from numpy.typing import NDArray

from privacy.contract.signing import Envelope, SigningKey
from privacy.secure_sum.aggregator import open_total
from privacy.secure_sum.attempt import Attempt, threshold
from privacy.secure_sum.channel import split_sealed
from privacy.secure_sum.masks import vector_from_bytes
from privacy.secure_sum.participant import Opening, Session

# By name: the package hides the module behind a function of the same name.
flower = importlib.import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")

Vector = NDArray[np.int64]

NODES, T_DROP, T_COLLUDE = 10, 1, 1
THRESHOLD = threshold(NODES, T_COLLUDE)
LOST = 0  # this node's masked vector never arrives
GRID = 2**17  # grid units per 1.0: Flower takes floats, clipped to ±8
CLIP, QUANTISATION, MODULUS, WEIGHT = 8.0, 2**22, 2**32, 1.0
TARGET_RATIO = 5.0


class CairnSum:
    """This product's secure sum, from key adverts to the verified total."""

    def __init__(self, vectors: list[Vector], lost: int | None = LOST) -> None:
        self.names = tuple(f"node-{i:02}" for i in range(len(vectors)))
        self.vectors = dict(zip(self.names, vectors, strict=True))
        self.inputs: dict[str, NDArray[np.uint64]] = {}
        self.identities = {name: SigningKey(os.urandom(32)) for name in self.names}
        self.keys = {name: key.public for name, key in self.identities.items()}
        self.t_drop = T_DROP if lost is not None else 0
        self.threshold = threshold(len(vectors), T_COLLUDE)
        self.survivors = [name for i, name in enumerate(self.names) if i != lost]

    def set_out(self) -> None:
        """Each node's own vector, which it masks in place: made before the clock starts."""
        self.inputs = {name: each.view(np.uint64).copy() for name, each in self.vectors.items()}

    def run(self) -> Vector:
        sessions = {name: self._begin(name) for name in self.names}
        adverts = {name: session.advert for name, session in sessions.items()}
        blobs = {name: each.share(adverts, self.keys) for name, each in sessions.items()}
        attempt = self._attempt(sessions)
        wire, openings = self._mask(attempt, sessions, blobs)
        claims = {name: self._claim(openings[name]) for name in self.survivors}
        # A threshold of signatures and of revealed shares is what the protocol waits for.
        lists = [openings[name].sign_list(claims) for name in self.survivors[: self.threshold]]
        reveals = {name: openings[name].reveal(lists) for name in self.survivors[: self.threshold]}
        masked = {name: vector_from_bytes(wire[name], attempt.length) for name in self.survivors}
        total, _ = open_total(
            attempt,
            masked,
            adverts=adverts,
            claims=claims,
            lists=lists,
            reveals=reveals,
            keys=self.keys,
        )
        return total

    def _begin(self, name: str) -> Session:
        return Session.begin(
            name,
            self.identities[name],
            self.names,
            roster="0" * 64,
            threshold=self.threshold,
            sets=1,
            entropy=os.urandom,
        )

    def _attempt(self, sessions: dict[str, Session]) -> Attempt:
        return Attempt(
            plan="0" * 64,
            round=0,
            attempt=0,
            state="0" * 64,
            participants=self.names,
            sessions=tuple(sessions[name].id for name in self.names),
            roster="0" * 64,
            set_index=0,
            t_drop=self.t_drop,
            t_collude=T_COLLUDE,
            length=len(self.vectors[self.names[0]]),
        )

    def _mask(
        self, attempt: Attempt, sessions: dict[str, Session], blobs: dict[str, dict[str, bytes]]
    ) -> tuple[dict[str, memoryview], dict[str, Opening]]:
        wire, openings = {}, {}
        for name in self.names:
            sealed = {peer: split_sealed(blobs[peer][name])[0] for peer in blobs if peer != name}
            masked, openings[name] = (
                sessions[name].take(0).mask(attempt, self.inputs[name], sealed, overwrite=True)
            )
            wire[name] = masked.data.cast("B")
        return wire, openings

    @staticmethod
    def _claim(opening: Opening) -> Envelope:
        return opening.claim(opening.masked_sha256, "", None)


class FlowerSum:
    """Flower's SecAgg+ on the complete graph with the same threshold."""

    def __init__(self, vectors: list[Vector]) -> None:
        self.inputs = [ndarrays_to_parameters([vector / GRID]) for vector in vectors]
        self.nids = list(range(1, len(vectors) + 1))
        self.dead = [self.nids[LOST]]
        self.active = [nid for nid in self.nids if nid not in self.dead]
        self.pk1: dict[int, bytes] = {}

    def run(self) -> NDArray[np.float64]:
        states = {nid: flower.SecAggPlusState() for nid in self.nids}
        public = {nid: self._set_up(nid, state) for nid, state in states.items()}
        self.pk1 = {nid: pair[0] for nid, pair in public.items()}
        texts: dict[int, list[bytes]] = {nid: [] for nid in self.nids}
        sources: dict[int, list[int]] = {nid: [] for nid in self.nids}
        for nid, state in states.items():
            keys = ConfigRecord({str(n): list(pair) for n, pair in public.items()})
            shared = flower._share_keys(state, keys)
            pairs = zip(shared[Key.DESTINATION_LIST], shared[Key.CIPHERTEXT_LIST], strict=True)
            for to, text in pairs:
                texts[to].append(text)
                sources[to].append(nid)
        masked = {nid: self._collect(nid, states[nid], texts, sources) for nid in self.nids}
        shares: dict[int, list[bytes]] = {nid: [] for nid in self.nids}
        lists = ConfigRecord(
            {Key.ACTIVE_NODE_ID_LIST: self.active, Key.DEAD_NODE_ID_LIST: self.dead}
        )
        for nid in self.active:
            reply = flower._unmask(states[nid], lists)
            for owner, share in zip(reply[Key.NODE_ID_LIST], reply[Key.SHARE_LIST], strict=True):
                shares[owner].append(share)
        return self._open([masked[nid] for nid in self.active], shares)

    def _set_up(self, nid: int, state: Any) -> tuple[bytes, bytes]:
        state.nid = nid
        settings = {
            Key.SAMPLE_NUMBER: len(self.nids),
            Key.SHARE_NUMBER: len(self.nids),
            Key.THRESHOLD: THRESHOLD,
            Key.CLIPPING_RANGE: CLIP,
            Key.TARGET_RANGE: QUANTISATION,
            Key.MOD_RANGE: MODULUS,
            Key.MAX_WEIGHT: WEIGHT,
        }
        reply = flower._setup(state, ConfigRecord(settings))
        return reply[Key.PUBLIC_KEY_1], reply[Key.PUBLIC_KEY_2]

    def _collect(
        self, nid: int, state: Any, texts: dict[int, list[bytes]], sources: dict[int, list[int]]
    ) -> list[bytes]:
        record = ConfigRecord({Key.CIPHERTEXT_LIST: texts[nid], Key.SOURCE_LIST: sources[nid]})
        reply = flower._collect_masked_vectors(state, record, 1, self.inputs[nid - 1])
        return list(reply[Key.MASKED_PARAMETERS])

    def _open(
        self, replies: list[list[bytes]], shares: dict[int, list[bytes]]
    ) -> NDArray[np.float64]:
        total = [bytes_to_ndarray(data) for data in replies[0]]
        for reply in replies[1:]:
            total = parameters_addition(total, [bytes_to_ndarray(data) for data in reply])
        total = parameters_mod(total, MODULUS)
        for nid in self.nids:
            secret = combine_shares(shares[nid])
            if nid in self.active:
                mask = pseudo_rand_gen(secret, MODULUS, get_parameters_shape(total))
                total = parameters_subtraction(total, mask)
            else:
                total = self._remove_pairs(total, nid, secret)
        return self._to_floats(parameters_mod(total, MODULUS))

    def _remove_pairs(self, total: list[Any], nid: int, secret: bytes) -> list[Any]:
        for peer in self.active:
            key = generate_shared_key(
                bytes_to_private_key(secret), bytes_to_public_key(self.pk1[peer])
            )
            mask = pseudo_rand_gen(key, MODULUS, get_parameters_shape(total))
            step = parameters_addition if nid > peer else parameters_subtraction
            total = step(total, mask)
        return total

    def _to_floats(self, total: list[Any]) -> NDArray[np.float64]:
        """The sum of the vectors: each factor of this benchmark is 1."""
        factor, parts = factor_extract(total)
        ratio = factor / QUANTISATION
        [floats] = dequantize(parts, CLIP, QUANTISATION)
        return np.asarray(floats) - (ratio - 1) * CLIP


def _seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of measurements; `quick` takes 10^5 numbers once, to which the target does not apply."""
    length, repetitions = (10**5, 1) if quick else (10**6, 5)
    draw = np.random.default_rng(1)
    vectors = [draw.integers(-(2**20), 2**20, length) for _ in range(NODES)]
    ours, theirs = CairnSum(vectors), FlowerSum(vectors)
    truth = np.sum([vector for i, vector in enumerate(vectors) if i != LOST], axis=0)
    our_seconds, their_seconds, exact, error = [], [], True, 0.0
    for _ in range(repetitions):
        ours.set_out()
        seconds, total = _seconds(ours.run)
        our_seconds.append(seconds)
        exact = exact and bool(np.array_equal(total, truth))
        seconds, floats = _seconds(theirs.run)
        their_seconds.append(seconds)
        error = max(error, float(np.max(np.abs(floats - truth / GRID))))
    return _rows(length, our_seconds, their_seconds, exact, error)


def _rows(
    length: int, ours: list[float], theirs: list[float], exact: bool, error: float
) -> list[dict[str, Any]]:
    case = f"{NODES} nodes x {length} numbers, one lost"
    our_median, their_median = statistics.median(ours), statistics.median(theirs)
    ratio = their_median / our_median
    target = TARGET_RATIO if length >= 10**6 else None
    return [
        _row(f"secure sum, whole protocol, {case}", our_median, "s"),
        _row(f"Flower SecAgg+, same stages, {case}", their_median, "s"),
        _row("ratio of medians", ratio, "times faster", target, ratio >= (target or 0)),
        _row("total is exact", int(exact), "1 = yes", 1, exact),
        # Stochastic rounding moves each number by less than one step of the quantisation.
        _row("Flower's largest error in the total", error, "input units"),
    ]


def _row(
    what: str, value: float, unit: str, target: float | None = None, ok: bool = True
) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "target": target, "ok": ok}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    for row in run(parser.parse_args().quick):
        target = "" if row["target"] is None else f" (target {row['target']:g})"
        print(f"{row['what']}: {row['value']:.4g} {row['unit']}{target}")


if __name__ == "__main__":
    main()
