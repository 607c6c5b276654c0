"""Writes the versioned test vectors: `python -m tests.secure_sum.vectors.generate`.

Everything is drawn from a fixed seed, so that the file comes out the same every time. Another
implementation of the protocol needs the file alone. A vector is never changed: a change of the
protocol gets a new version, and the old file goes on to be refused or accepted as it says.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from privacy.contract.canonical import b64, unb64
from privacy.contract.signing import Envelope
from privacy.secure_sum import masks, shamir
from privacy.secure_sum.channel import Channel, End
from privacy.secure_sum.commitments import Dealer, ShareOf
from privacy.secure_sum.messages import PROTOCOL
from privacy.secure_sum.prepared import PreparedSet
from tests.support.secure_sum_network import Network, Stage, seeded_entropy, sha

VERSION = 1
FILE = Path(__file__).parent / f"v{VERSION}.json"


def shamir_vectors() -> list[dict[str, Any]]:
    vectors = []
    for threshold, holders in ((2, 3), (3, 4), (6, 10)):
        secret = bytes(range(threshold, threshold + 32))
        shares = shamir.split(secret, threshold, holders, seeded_entropy(f"shamir {holders}"))
        texts = [shamir.encode(share).hex() for share in shares]
        vectors.append({"secret": secret.hex(), "threshold": threshold, "shares": texts})
    return vectors


def mask_vectors() -> list[dict[str, Any]]:
    vectors = []
    for node, peer in (("a", "b"), ("b", "a")):
        mask = masks.pair_mask(bytes(32), sha("attempt"), node, peer)
        stream, _ = masks.mask(np.zeros(2**17 + 2, dtype=np.uint64), [mask])
        vectors.append(
            {
                "x25519": bytes(32).hex(),
                "attempt": sha("attempt"),
                "node": node,
                "peer": peer,
                "key": mask.key.hex(),
                "first": [str(word) for word in stream[:2]],
                "at_131072": [str(word) for word in stream[2**17 :]],
            }
        )
    return vectors


def self_mask_vector() -> dict[str, Any]:
    seed = bytes(range(32))
    key = masks.self_mask(seed, sha("attempt"), "a").key
    return {"seed": seed.hex(), "attempt": sha("attempt"), "node": "a", "key": key.hex()}


def set_vectors() -> list[dict[str, Any]]:
    """What a dealer commits to, and how its shares open."""
    vectors = []
    for holders in (3, 5):
        dealer = Dealer("a", "0" * 32, 1)
        prepared = PreparedSet.deal(dealer, 3, holders, seeded_entropy(f"set {holders}"))
        opened = [
            {
                "holder": holder,
                "of": kind.name.lower(),
                "share": b64(prepared.pairs[holder][kind].to_bytes()),
            }
            for holder in range(holders)
            for kind in ShareOf
        ]
        vectors.append(
            {
                "node": "a",
                "session": "0" * 32,
                "set_index": 1,
                "holders": holders,
                "threshold": 3,
                "seed": prepared.seed.hex(),
                "mask_key": prepared.mask_key.private_bytes_raw().hex(),
                "advert": b64(prepared.advert.to_bytes()),
                "opened": opened,
            }
        )
    return vectors


def sealed_vector() -> dict[str, Any]:
    channel = Channel(bytes(32), End("a", sha("advert a")), End("b", sha("advert b")))
    return {
        "x25519": bytes(32).hex(),
        "sender": {"node": "a", "advert": sha("advert a")},
        "recipient": {"node": "b", "advert": sha("advert b")},
        "set_index": 2,
        "plain": b"shares".hex(),
        "sealed": channel.seal(2, b"shares").hex(),
    }


def openings() -> dict[str, Network]:
    return {
        "three nodes": Network(3, sets=1, length=3, seed="three"),
        "four nodes, one lost": Network(4, t_drop=1, sets=2, length=3, seed="four"),
    }


LOST = {"three nodes": {}, "four nodes, one lost": {"node-02": Stage.CLAIM}}


def transcript_vectors() -> list[dict[str, Any]]:
    vectors = []
    for name, network in openings().items():
        total, transcript = network.prepare().run(network.vectors(), lost=LOST[name])
        vectors.append(
            {
                "name": name,
                "keys": {node: key.text for node, key in network.keys.items()},
                "transcript": transcript.to_json(),
                "total": [str(number) for number in total.tolist()],
            }
        )
    return vectors


def negative_vectors(base: dict[str, Any]) -> list[dict[str, Any]]:
    """Changes to the opening with a loss: the path, the new value, and the step that must fail."""
    network = openings()[base["name"]].prepare()
    good = base["transcript"]

    def signed(part: str, node: str, **changes: Any) -> Any:
        envelope = Envelope.from_json(good[part][node])
        body = copy.deepcopy(good[part][node]["body"]) | changes
        return Envelope.seal(envelope.kind, body, network.signing[node]).to_json()

    def flip(text: str, bit: int) -> str:
        data = bytearray(unb64(text))
        data[bit // 8] ^= 1 << bit % 8
        return b64(bytes(data))

    def case(what: str, path: list[str], value: Any, step: str, sender: str = "") -> dict[str, Any]:
        return {"what": what, "path": path, "value": value, "step": step, "sender": sender}

    node = "node-01"
    lost = "node-02"
    return [
        case("roster of another epoch", ["adverts", node],
             signed("adverts", node, roster=sha("other")), "advert", node),
        case("another session", ["adverts", node],
             signed("adverts", node, session="f" * 32), "advert", node),
        case("another protocol version", ["adverts", node],
             signed("adverts", node, protocol="cairn-secure-sum/0"), "advert", node),
        case("advert signed by somebody else", ["adverts", node],
             good["adverts"]["node-00"], "advert", node),
        case("advert with a part of a set", ["adverts", node],
             signed("adverts", node, sets=b64(bytes(95))), "advert", node),
        case("another state", ["attempt", "state"], sha("other"), "masked input", "node-00"),
        case("another round", ["attempt", "round"], 1, "masked input", "node-00"),
        case("another set", ["attempt", "set_index"], 1, "masked input", "node-00"),
        case("a set that was not prepared", ["attempt", "set_index"], 2, "advert", "node-00"),
        case("no margin", ["attempt", "t_collude"], 0, "attempt"),
        case("more losses than the threshold allows", ["attempt", "t_drop"], 2, "attempt"),
        case("participants out of order", ["attempt", "participants"],
             ["node-01", "node-00", "node-02", "node-03"], "attempt"),
        case("claim for another attempt", ["claims", node],
             signed("claims", node, attempt=sha("other")), "masked input", node),
        case("claim of another vector", ["claims", node],
             signed("claims", node, sha256=sha("other")), "survivor list"),
        case("claim with another checkpoint", ["claims", node],
             signed("claims", node, checkpoint="forged"), "survivor list"),
        case("claim with a broken signature", ["claims", node, "signature"],
             flip(good["claims"][node]["signature"], 3), "masked input", node),
        case("too few survivors", ["claims"],
             {"node-00": good["claims"]["node-00"]}, "masked input", "node-01"),
        case("list signed for fewer survivors", ["lists", node],
             signed("lists", node, survivors=[]), "survivor list", node),
        case("too few signatures", ["lists"],
             {n: good["lists"][n] for n in ("node-00", node)}, "survivor list"),
        case("list vouched for by a lost node", ["lists"],
             good["lists"] | {lost: good["lists"]["node-00"]}, "survivor list", lost),
        case("one bit of a masked vector", ["masked", node],
             flip(good["masked"][node], 100), "masked vector", node),
        case("one bit of a seed", ["seeds", node],
             flip(good["seeds"][node], 200), "opened secret", node),
        case("the seed of another survivor", ["seeds", node],
             good["seeds"]["node-00"], "opened secret", node),
        case("one bit of a lost node's key", ["keys", lost],
             flip(good["keys"][lost], 100), "opened secret", lost),
        case("a bit of the key that X25519 ignores", ["keys", lost],
             flip(good["keys"][lost], 0), "opened secret", lost),
        case("both secrets of one node", ["keys"],
             good["keys"] | {node: good["keys"][lost]}, "opened secret", node),
    ]  # fmt: skip


def build() -> dict[str, Any]:
    transcripts = transcript_vectors()
    return {
        "version": VERSION,
        "protocol": PROTOCOL,
        "shamir": shamir_vectors(),
        "pair_masks": mask_vectors(),
        "self_mask": self_mask_vector(),
        "sets": set_vectors(),
        "sealed": sealed_vector(),
        "transcripts": transcripts,
        "must_fail": {
            "transcript": transcripts[1]["name"],
            "cases": negative_vectors(transcripts[1]),
        },
    }


def main() -> None:
    FILE.write_text(json.dumps(build(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
