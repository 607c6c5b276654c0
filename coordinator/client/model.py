"""A released network: made of a release, written to two files, and read again.

Reading runs nothing. What a release says is checked here: the coordinator's signature over it, and
that the last round's state, in which the weights are, is the one it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coordinator.client.errors import BadInput
from models.aggregates.requests import Analysis, Train, parse_analysis
from models.neural.card import Card, Provenance, card_of, markdown
from models.neural.law import State
from models.neural.trained import TrainedNetwork
from models.noise_law import NoiseLaw
from models.opening import Opening, last_opening
from privacy.contract.canonical import rational, sha256_hex
from privacy.contract.dictionary import Dictionary
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import VerificationFailed
from privacy.mechanism import GaussianSum

if TYPE_CHECKING:
    from coordinator.client.result import Result

ENDING = ".safetensors"
_USE = "Research for the study's purpose; not decisions about one person."


@dataclass(frozen=True)
class Origin:
    """What a result does not carry along: the dictionary, its last round as it was opened, and
    where all rounds are to be had."""

    dictionary: Dictionary
    memberships: int
    last: Opening
    every: Callable[[], tuple[Opening, ...]]


def checked_openings(
    body: Mapping[str, Any], totals: bytes, analysis: Analysis, dictionary: Dictionary
) -> tuple[Opening, ...]:
    """Every round of a release, from its signed body and the bytes of all rounds' totals.

    What each round was asked with is computed anew. Raises VerificationFailed for other totals.
    """
    opened: list[Opening] = []
    for number, said in enumerate(body["rounds"]):
        law = NoiseLaw(GaussianSum.from_json(said["mechanism"]), len(said["survivors"]))
        length = analysis.length_at(dictionary, law.mechanism.delta_grid, number)
        part, totals = totals[: 8 * length], totals[8 * length :]
        if sha256_hex(part) != said["totals"]:
            raise VerificationFailed("the totals are not those of the release", where="totals")
        numbers = tuple(np.frombuffer(part, dtype="<i8").tolist())
        opened.append(Opening(numbers, law, analysis.state(dictionary, opened)))
    return tuple(opened)


def checked_opening(envelope: Envelope, release: str, key: PublicKey, state: bytes) -> Opening:
    """The last round of a release, with the state that it was asked with.

    Raises VerificationFailed where the coordinator did not sign it, or for another state.
    """
    if envelope.digest != release:
        raise VerificationFailed("another release than was asked for", where=release)
    body: Mapping[str, Any] = envelope.open("release", key)
    if sha256_hex(state) != body["rounds"][-1]["state"]:
        raise VerificationFailed("the weights are not those of the release", where=release)
    return last_opening(body, state)


def model_of(result: Result, intended_use: str = "") -> tuple[TrainedNetwork, Card]:
    """The network that a run of training released, and its card.

    Raises BadInput for the answer of another analysis, VerificationFailed as `checked_opening`.
    """
    request = parse_analysis(result.asked.analysis)
    if not isinstance(request, Train):
        raise BadInput(f"a {request.kind} trains no network", instead="ask study.train(…)")
    if result.origin is None:
        raise BadInput("this result does not know its weights", instead="study.release(…)")
    origin = result.origin()
    told = _provenance(result, origin, intended_use)
    card = card_of(request, origin.dictionary, result.answer, told)
    base = State.read(origin.last.state).base
    network = TrainedNetwork(
        specification=request.specification,
        dictionary=origin.dictionary,
        base=tuple(float(each) for each in base),
        weights=request.trained(origin.dictionary, origin.last),
        card=card.to_json(),
    )
    return network, card


def _provenance(result: Result, origin: Origin, intended_use: str) -> Provenance:
    asked = result.asked
    nodes = tuple(sorted({receipt.node for receipt in result.receipts}))
    return Provenance(
        study=asked.study,
        purpose=asked.purpose,
        intended_use=intended_use or _USE,
        cohort=asked.cohort,
        organisations=nodes or ("made-up members",),
        epsilon=f"{result.epsilon:.6g}",
        delta=rational(result.delta),
        rho=rational(result.rho),
        memberships=origin.memberships,
        receipts=(f"release {result.release}", *(str(each) for each in result.receipts)),
    )


def card_text(result: Result, intended_use: str = "") -> str:
    """The card as Markdown."""
    return markdown(model_of(result, intended_use)[1])


def save_model(result: Result, path: Path, intended_use: str = "") -> None:
    """Write the numbers to `path` and what they mean to the .json file beside it."""
    network, _ = model_of(result, intended_use)
    numbers, description = network.files()
    path.write_bytes(numbers)
    path.with_suffix(".json").write_bytes(description)


def load_model(path: str | Path) -> TrainedNetwork:
    """Read a saved network: `path` and the .json file beside it. Nothing in them is run.

    Raises BadInput for files that are missing or are anything else.
    """
    where = Path(path)
    if where.suffix != ENDING:
        raise BadInput("a network's file ends .safetensors", where=str(where))
    try:
        numbers, description = where.read_bytes(), where.with_suffix(".json").read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=str(error.filename)) from None
    return TrainedNetwork.from_files(numbers, description)
