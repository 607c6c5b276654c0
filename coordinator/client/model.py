"""A released model: made of a release, written to two files, and read again.

Reading runs nothing. What a release says is checked here: the coordinator's signature over it, and
that its rounds' states and totals, of which weights and coefficients are made, are those it names.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from coordinator.client.errors import BadInput
from models.aggregates.requests import Evaluate, Train, parse_analysis
from models.neural.law import State
from models.neural.trained import TrainedNetwork
from models.noise_law import NoiseLaw
from models.opening import Opening, last_opening
from models.regression.cox import RAN_AWAY, Cox
from models.regression.fit import Fitted, fit_of
from models.regression.fitting import ASTRAY, UNSEEN
from models.regression.newton import BLURRED, CAUSED, UNSETTLED
from models.regression.progression import Progression
from models.regression.request import Regression
from models.released.card import (
    Card,
    Judgement,
    Provenance,
    card_of_network,
    card_of_regression,
    markdown,
)
from models.released.files import ENDING, MOST_BYTES, ReleasedModel, model_from
from models.released.fitted import FittedRegression
from models.released.network import weights_text
from privacy.contract.canonical import rational, sha256_hex
from privacy.contract.dictionary import Dictionary
from privacy.contract.signing import Envelope, PublicKey
from privacy.errors import VerificationFailed
from privacy.mechanism import GaussianSum

if TYPE_CHECKING:
    from coordinator.client.result import Result

LOST = (ASTRAY, UNSEEN, BLURRED, UNSETTLED, CAUSED, RAN_AWAY)
NOTHING_SAID = "Noise leaves the coefficients unknown. Ask with more epsilon."
_USE = "Research for the study's purpose; not decisions about one person."


@dataclass(frozen=True)
class Origin:
    """What a result does not carry along: the dictionary, its last round as it was opened, and
    all of them, which are fetched when they are asked for."""

    dictionary: Dictionary
    memberships: int
    last: Opening
    every: Callable[[], tuple[Opening, ...]]


def checked_opening(envelope: Envelope, release: str, key: PublicKey, state: bytes) -> Opening:
    """The last round of a release, with the state that it was asked with.

    Raises VerificationFailed where the coordinator did not sign it, or for another state.
    """
    body = _body(envelope, release, key)
    if sha256_hex(state) != body["rounds"][-1]["state"]:
        raise VerificationFailed("the weights are not those of the release", where=release)
    return last_opening(body, state)


def checked_openings(
    envelope: Envelope, release: str, key: PublicKey, rounds: Sequence[Mapping[str, str]]
) -> tuple[Opening, ...]:
    """Every round of a release, from the base64 of states and totals.

    Raises VerificationFailed as `checked_opening`, and for totals that the release does not name.
    """
    said = _body(envelope, release, key)["rounds"]
    if len(said) != len(rounds):
        raise VerificationFailed("not the rounds of the release", where=release)
    found = []
    for stated, given in zip(said, rounds, strict=True):
        state, totals = (b64decode(given[name]) for name in ("state", "totals"))
        if (sha256_hex(state), sha256_hex(totals)) != (stated["state"], stated["totals"]):
            raise VerificationFailed("a round is not that of the release", where=release)
        law = NoiseLaw(GaussianSum.from_json(stated["mechanism"]), len(stated["survivors"]))
        found.append(Opening(tuple(np.frombuffer(totals, dtype="<i8").tolist()), law, state))
    return tuple(found)


def _body(envelope: Envelope, release: str, key: PublicKey) -> Mapping[str, Any]:
    if envelope.digest != release:
        raise VerificationFailed("another release than was asked for", where=release)
    body: Mapping[str, Any] = envelope.open_kept("release", key)
    return body


def model_of(
    result: Result, intended_use: str = "", judged: Sequence[Result] = ()
) -> tuple[ReleasedModel, Card]:
    """The network or regression that a run released, and its card.

    `judged`: answers of `study.evaluate(...)` of this very model, for its card.
    Raises BadInput for the answer of another analysis, VerificationFailed as `checked_openings`.
    """
    request = parse_analysis(result.asked.analysis)
    if not isinstance(request, Train | Regression | Cox | Progression):
        raise BadInput(f"a {request.kind} makes no model", instead="ask train, glm or cox")
    if result.origin is None:
        raise BadInput("this result does not know its rounds", instead="study.release(…)")
    origin = result.origin()
    if isinstance(request, Train):
        return _network(request, origin, result, intended_use, judged)
    return _regression(request, origin, result, intended_use, judged)


def _network(
    request: Train, origin: Origin, result: Result, intended_use: str, judged: Sequence[Result]
) -> tuple[TrainedNetwork, Card]:
    weights = request.trained(origin.dictionary, origin.last)
    base = State.read(origin.last.state).base
    tried = tuple(_judgement(each, ("weights", weights_text(weights))) for each in judged)
    told = _provenance(result, origin, intended_use)
    card = card_of_network(request, origin.dictionary, result.answer, told, tried)
    network = TrainedNetwork(
        specification=request.specification,
        dictionary=origin.dictionary,
        base=tuple(float(each) for each in base),
        weights=weights,
        card=card.to_json(),
    )
    return network, card


def _regression(
    request: Fitted, origin: Origin, result: Result, intended_use: str, judged: Sequence[Result]
) -> tuple[FittedRegression, Card]:
    fit = fit_of(request, origin.dictionary, origin.every())
    if not all(np.isfinite(each).all() for each in (fit.values, fit.sampling, fit.privacy)):
        why = next((note for note in result.answer.notes if note in LOST), NOTHING_SAID)
        raise BadInput("there is no model to save", instead=why)
    plain = FittedRegression(request, origin.dictionary, fit, {})
    tried = tuple(_judgement(each, _coefficients(plain)) for each in judged)
    told = _provenance(result, origin, intended_use)
    card = card_of_regression(request, origin.dictionary, result.answer, told, tried)
    return FittedRegression(request, origin.dictionary, fit, card.to_json()), card


def _coefficients(model: FittedRegression) -> tuple[str, Any]:
    return "coefficients", list(model.released().coefficients)


def _judgement(result: Result, of: tuple[str, Any]) -> Judgement:
    """Raises BadInput for the answer of another analysis, or about another model."""
    asked, (name, value) = result.asked.analysis, of
    if asked["kind"] != Evaluate.model_fields["kind"].default:
        raise BadInput("a model is judged by study.evaluate(…)", where="judged")
    if asked["model"].get(name) != value:
        raise BadInput("this answer judges another model", where="judged")
    return Judgement(
        cohort=result.asked.cohort,
        epsilon=f"{result.epsilon:.6g}",
        delta=rational(result.delta),
        release=result.release,
        figures=result.answer,
    )


def judging(result: Result, among: Sequence[Result]) -> list[Result]:
    """Those answers of `study.evaluate(...)` that judge the model of `result`."""
    found = []
    for each in among:
        try:
            model_of(result, judged=[each])
        except BadInput:
            continue
        found.append(each)
    return found


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


def card_text(result: Result, intended_use: str = "", judged: Sequence[Result] = ()) -> str:
    """The card as Markdown."""
    return markdown(model_of(result, intended_use, judged)[1])


def save_model(
    result: Result, path: Path, intended_use: str = "", judged: Sequence[Result] = ()
) -> None:
    """Write the numbers to `path` and what they mean to the .json file beside it."""
    model, _ = model_of(result, intended_use, judged)
    numbers, description = model.files()
    path.write_bytes(numbers)
    path.with_suffix(".json").write_bytes(description)


def load_model(path: str | Path) -> ReleasedModel:
    """Read a saved network or regression: `path` and the .json file beside it. Nothing in them
    is run.

    Raises BadInput for files that are missing, larger than a model or anything else.

    Example: `load_model("model.safetensors").predict(frame)`
    """
    where = Path(path)
    if where.suffix != ENDING:
        raise BadInput(f"a model's file ends {ENDING}", where=str(where))
    numbers, description = (_read(each) for each in (where, where.with_suffix(".json")))
    return model_from(numbers, description)


def _read(path: Path) -> bytes:
    """Raises BadInput for what is no plain file, or a larger one than a model's."""
    most = MOST_BYTES[path.suffix]
    try:
        if not path.is_file():
            raise BadInput("cannot be read (no such file)", where=str(path))
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=str(path)) from None
    if len(data) > most:
        raise BadInput(f"larger than {most} bytes", where=str(path))
    return data
