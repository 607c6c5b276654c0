"""Networks as a researcher trains, saves, loads and scores them; and what goes wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coordinator.audit.verify import verify_bundle
from coordinator.client import BadInput, Job, Refused, load_model
from coordinator.client.network import Network as Client
from coordinator.client.transport import Download, Transport
from coordinator.store.facts import RunState
from models.dictionary_file import load_dictionary
from models.neural.law import State
from models.neural.specification import Specification, compiled
from models.released.evaluate import Evaluate
from models.released.network import ReleasedNetwork, weights_text
from models.rows import from_tables
from privacy import errors
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.canonical import sha256_hex
from privacy.contract.messages import Ask
from privacy.contract.packet import Packet
from privacy.errors import Code, VerificationFailed
from privacy.units import Rho
from tests.support import net_data
from tests.support.killing import When, lose
from tests.support.net_bundle import bundle
from tests.support.network import Network
from tests.support.served import asked_over_http
from tests.support.training import small_mlp

MLP = small_mlp(3)
ROUNDS = 5  # of messages: counts, three gradients, scores
HUGE = {"epsilon_allowance": "1000000", "yearly_epsilon": "1000000"}


@pytest.fixture
def researcher(make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with asked_over_http(make(count=200, **HUGE), monkeypatch) as client:
        yield client


def trained(client: Client, **settings: Any) -> Job:
    asked = {"outcome": "treatment", "features": ["age", "condition"], "rounds": 3, "widths": [4]}
    return client.study("als-progression").train("mlp", **{**asked, "epsilon": 30, **settings})


def test_a_network_is_trained_watched_saved_loaded_and_scored(
    researcher: Client, tmp_path: Path
) -> None:
    job = trained(researcher, by="condition")
    assert job.watch(60).rounds == ROUNDS
    assert str(job.progress) == f"released: {ROUNDS} of {ROUNDS} rounds"
    assert set(job.metrics["group"]) == {f"condition = {x}" for x in ("als", "ms", "mood")} | {
        "all"
    }
    job.save(tmp_path / "model.safetensors")
    network = load_model(tmp_path / "model.safetensors")
    people = net_data.members(9, 50)
    said = network.predict(people[["age", "condition"]])
    assert said.shape == (50, 3)
    assert np.allclose(said.sum(axis=1), 1)
    study = researcher.study("als-progression")
    rows = from_tables(study.dictionary, {"members": people})
    assert np.array_equal(said, network.predict(rows))
    card = job.card("planning visits")
    receipts = job.result.receipts
    named = ("planning visits", "disease-research", "als-union, mood-circle, ms-league")
    proofs = (study.dictionary.digest, receipts[0].leaf[:16], job.result.release)
    for part in (*named, *proofs, "condition = als"):
        assert part in card
    scored = study.evaluate(tmp_path / "model.safetensors", by="condition").run(epsilon=30)
    assert scored.rounds == 1
    ours, again = job.metrics.set_index(["group", "figure"]), scored.table
    for row in again[again["figure"].str.startswith("AUC")].itertuples():
        before = ours.loc[(row.group, row.figure)]  # the same members, so the same area but noise
        assert abs(row.estimate - before["estimate"]) < 3 * (row.se_noise + before["se_noise"])


def test_weights_that_the_release_does_not_name_are_refused(
    researcher: Client, make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = trained(researcher).wait(60)
    assert result.model().weights.size
    with pytest.raises(BadInput, match="makes no model"):
        researcher.study("als-progression").count().run(epsilon=1).model()
    whole = Transport.download

    def changed(self: Transport, path: str, timeout_seconds: float, **more: Any) -> Any:
        return _ending_in_nought(whole(self, path, timeout_seconds, **more))

    monkeypatch.setattr(Transport, "download", changed)
    with pytest.raises(VerificationFailed, match="not those of the release"):
        result.model()


class _ending_in_nought:  # noqa: N801 - a context around a context
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __enter__(self) -> Download:
        said = self.inner.__enter__()
        data = b"".join(said.pieces)
        return replace(said, pieces=iter([data[:-1], bytes([data[-1] ^ 1])]))

    def __exit__(self, *error: object) -> None:
        self.inner.__exit__(*error)


def test_a_preview_advises_before_anything_is_spent(researcher: Client) -> None:
    study = researcher.study("als-progression")
    question = study.train(outcome="treatment", features=["age"])
    preview = question.preview(epsilon=1, members=2000)
    assert "no better than a regression" in str(preview)
    assert preview.planned.rounds == 22
    assert "regression" not in str(question.preview(epsilon=3, members=50_000))


def test_what_is_wrong_is_said_before_anything_is_sent(researcher: Client) -> None:
    study = researcher.study("als-progression")
    asked: Callable[..., Any] = study.train
    for wrong, says in (
        ({"outcome": "story"}, "neither"),
        ({"outcome": "symptom"}, "many rows"),
        ({"features": []}, "1 to 200"),
        ({"features": ["treatment"]}, "is the outcome"),
        ({"depth": 3}, "no such setting"),
        ({"rate": "fast"}, "finite"),
        ({"rounds": 0}, "write 1 or more"),
        ({"epsilon": 0}, "epsilon"),
    ):
        with pytest.raises(BadInput, match=says):
            asked("mlp", **{"outcome": "treatment", "features": ["age"], **wrong})


def test_a_node_without_torch_refuses_before_anything_is_set_aside(network: Network) -> None:
    assert network.nodes["ms-league"].steward.status()["software"] == {"torch": True}
    network.nodes["ms-league"].service.software = frozenset()
    assert network.nodes["ms-league"].steward.status()["software"] == {"torch": False}
    run = network.ask(MLP)
    assert (run.state, run.code) == (RunState.REFUSED, Code.MISSING_SOFTWARE)
    assert dict(run.fields) == {"what": "torch", "nodes": "1"}
    assert not network.wire.asked(Ask.CONTRIBUTE)
    for node in network.nodes:
        assert network.spent(node) == (0, 0)
    assert network.ask({"kind": "count"}).release


def test_a_run_of_training_is_stopped_in_the_middle_and_says_its_cost(network: Network) -> None:
    compiled = network.plan(network.question(MLP))
    run = network.queue(compiled)

    def stop(packet: Packet) -> Packet:
        assert network.store.runs.ask_to_cancel(run.id)
        return packet

    network.wire.outbound.append(When(Ask.REVEAL, stop, round_=2))
    network.execution.execute(run.id)
    assert network.execution.wait(run.id, 30)
    network.execution.over(run.id)
    ended = network.store.runs.get(run.id)
    units = sum(Rho.parse(each.rho).units for each in compiled.plan.rounds[:3])
    assert ended.state is RunState.CANCELLED
    assert ended.fields["rho"] == Rho(units).text
    assert ended.fields["epsilon"] == repr(epsilon_of_rho(Rho(units), network.study.delta_fraction))
    for node in network.nodes:
        assert network.spent(node) == (units, 0)


def test_a_node_lost_in_a_round_of_training_costs_one_more_attempt_of_it(network: Network) -> None:
    compiled = network.plan(network.question(MLP, max_attempts=2))
    network.wire.outbound.append(When(Ask.CONTRIBUTE, lose, node="ms-league", round_=2))
    run = network.run(compiled)
    assert run.release, run.code
    whole = Rho.parse(compiled.plan.rho).units
    once_more = Rho.parse(compiled.plan.rounds[2].rho).units
    assert network.spent("als-union") == (whole + once_more, 0)
    assert network.spent("ms-league") == (whole, 0)


# members that training was not made for


def _people(change: Callable[[str, pd.DataFrame], None]) -> dict[str, pd.DataFrame]:
    frames = {}
    for number, node in enumerate(net_data.NODES, 1):
        frames[node] = net_data.members(number, 60)
        change(node, frames[node])
    return frames


def _constant(_node: str, people: pd.DataFrame) -> None:
    people["treatment"] = "none"


def _absent(node: str, people: pd.DataFrame) -> None:
    people.loc[:, "condition"] = {"als-union": "als"}.get(node, "ms")


def _empty(node: str, people: pd.DataFrame) -> None:
    if node == "ms-league":
        people.drop(people.index[1:], inplace=True)
        people["consent"] = "no"


def _unknown(_node: str, people: pd.DataFrame) -> None:
    people["age"] = np.nan


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        (_constant, {}, "hardly varies"),
        (_absent, {}, ""),
        (_empty, {}, ""),
        (_unknown, {}, ""),
        (lambda *_: None, {"rate": "1000", "optimiser": "sgd"}, "ran away"),
        (lambda *_: None, {"cohort": "age > 109.9"}, "Hardly any members"),
    ],
    ids=[
        "constant outcome",
        "absent level",
        "empty node",
        "unknown feature",
        "diverging",
        "nobody",
    ],
)
def test_a_bad_run_ends_with_finite_figures_and_says_what_is_wrong(
    make: Callable[..., Network], change: Any, settings: dict[str, str], says: str
) -> None:
    network = make(frames=_people(change), **HUGE)
    asked = {name: value for name, value in settings.items() if name != "cohort"}
    run = network.ask({**MLP, **asked}, settings.get("cohort", ""), epsilon="1000")
    result = network.result(run)
    assert says in " ".join(result["notes"])
    numbers = [row[name] for row in result["rows"] for name in ("estimate", "low", "high", "se")]
    assert np.isfinite(numbers).all()


def test_scoring_needs_no_torch_and_weights_that_are_none_are_refused(
    researcher: Client, make: Callable[..., Network]
) -> None:
    study = researcher.study("als-progression")
    question = study.evaluate(trained(researcher).wait(60))
    network = make(count=200, **HUGE)
    for node in network.nodes.values():
        node.service.software = frozenset()
    assert network.ask(question.analysis_json, epsilon="10").release
    asked = question.analysis_json
    model = asked["model"]
    infinite = "AADAfw" + model["weights"][6:]
    for wrong in (
        {"weights": model["weights"][4:]},
        {"weights": "!" * len(model["weights"])},
        {"weights": "ä" * len(model["weights"])},
        {"form": "pickle"},
        {"weights": infinite},
        {"base": ["1"]},
        {"base": ["2", "0", "0"]},
        {"base": ["", "0", "0"]},
    ):
        with pytest.raises(errors.BadInput):
            network.plan(network.question({**asked, "model": {**model, **wrong}}))
    wide = study.train(outcome="treatment", features=["age"], widths=[512, 64], rounds=1)
    with pytest.raises((BadInput, Refused), match="can be scored"):
        study.evaluate(wide.run(epsilon=30))


def test_an_auditor_makes_all_weights_again_and_finds_others(
    network: Network, tmp_path: Path
) -> None:
    run = network.ask(MLP, epsilon="8")
    for folder in (tmp_path / "one", tmp_path / "two"):
        bundle(network, folder)
    assert verify_bundle(tmp_path / "one").transcripts == ROUNDS
    last = network.store.openings.of(run.plan_digest)[-1].state
    path = tmp_path / "two" / "states" / f"{sha256_hex(last)}.bin"
    state = State.read(last)
    path.write_bytes(replace(state, weights=state.weights + np.float32(0.1)).to_bytes())
    with pytest.raises(VerificationFailed):
        verify_bundle(tmp_path / "two")


def test_a_cohort_below_the_studys_smallest_is_not_scored(
    researcher: Client, make: Callable[..., Network]
) -> None:
    question = researcher.study("als-progression").evaluate(trained(researcher).wait(60))
    network = make(count=60, min_cohort=1000, **HUGE)
    run = network.ask(question.analysis_json, epsilon="100")
    assert run.code == Code.COHORT_TOO_SMALL


def test_a_member_is_in_one_cell_of_each_table_for_every_network() -> None:
    """Weights that sort one member out, or overflow, move no more than the bound."""
    dictionary = load_dictionary(net_data.DICTIONARY, "dictionary.toml")
    people = net_data.members(3, 30)
    rows = from_tables(dictionary, {"members": people})
    specification = Specification.from_json({**MLP["specification"], "outcome": "condition",
                                             "features": ["age", "treatment"]})  # fmt: skip
    length = compiled(specification, dictionary).length
    draw = np.random.default_rng(5)
    for size in (0.0, 1.0, 1e3, 3e38):
        numbers = np.clip(draw.normal(0, size or 1, length), -3e38, 3e38).astype(np.float32)
        model = ReleasedNetwork(
            specification=specification,
            weights=weights_text(numbers * (size > 0)),
            base=("0.3", "0.3", "0.4"),
        )
        asked = Evaluate(model=model, by=("treatment",)).normalised(dictionary)
        shape = asked.contribution(dictionary, 1000)
        for member in range(rows.members):
            alone = rows.select(np.arange(rows.members) == member)
            added = shape.fold(alone, np.ones(1, dtype=np.bool_))
            assert int(added @ added) == shape.norm_squared <= 1000**2
