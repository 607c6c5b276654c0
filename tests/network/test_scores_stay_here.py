"""An organisation scores its own members with a released model: nothing is sent or charged."""

from __future__ import annotations

import csv
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coordinator.client import load_model
from coordinator.client.result import Result
from models.dictionary_file import load_dictionary
from models.rows import from_tables
from node.importer import import_folder
from node.records import Records
from node.scoring import read_model, score
from privacy.errors import BadInput
from tests.support import net_data
from tests.support.network import Network
from tests.support.served import asked_over_http

HUGE = {"epsilon_allowance": "1e9", "yearly_epsilon": "1e9"}
ASKED: dict[str, Callable[[Any], Result]] = {
    "glm": lambda study: study.glm("score ~ age + condition", way="newton").run(epsilon=1e7),
    "binomial": lambda study: study.glm(
        "treatment ~ age", "binomial", happened="other", way="newton"
    ).run(epsilon=1e7),
    "ordinal": lambda study: study.glm("treatment ~ age", "ordinal", way="newton").run(epsilon=1e7),
    "train": lambda study: study.train(
        outcome="treatment", features=["age", "condition"], rounds=1, widths=[4], epsilon=30
    ).wait(60),
    "visits": lambda study: study.train(
        "gru",
        outcome="treatment",
        features=["severity", "age"],
        rounds=1,
        width=3,
        epsilon=30,
    ).wait(60),
}


@pytest.mark.parametrize("kind", ASKED)
def test_scores_are_those_of_the_model_and_nothing_leaves(
    kind: str, make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = make(count=80, **HUGE)
    path = tmp_path / "model.safetensors"
    with asked_over_http(network, monkeypatch) as client:
        ASKED[kind](client.study("als-progression")).save(path)
    node = network.nodes["als-union"]
    before = node.service.ledger.size
    out = tmp_path / "scores.csv"
    said = node.steward.score(path, out, None)
    assert node.service.ledger.size == before
    assert not node.steward.left_the_building()[-1]["sentence"].startswith("Scores")
    with out.open() as file:
        heads, *lines = csv.reader(file)
    assert said == {"members": len(lines), "file": str(out)}
    assert len(lines) == 80 or (kind == "visits" and 40 < len(lines) < 80)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    model, people = load_model(path), net_data.members(1, 80)
    rows = from_tables(
        model.dictionary,
        {"members": people, "symptoms": net_data.symptoms(people, 1)},
    )
    by_key = {line[0]: line[1:] for line in lines}
    several = kind in ("ordinal", "train", "visits")
    assert heads == ["member", *(["none", "riluzole", "other"] if several else ["score"])]
    expected = model.predict(rows).reshape(80, -1)
    for key, values in zip(people["member"], expected, strict=True):
        if kind == "visits" and key not in by_key:
            continue
        found = [float(each) if each else np.nan for each in by_key[key]]
        assert np.allclose(found, values, rtol=1e-4, atol=1e-6, equal_nan=True)


def records_of(people: pd.DataFrame, folder: Path) -> Records:
    dictionary = load_dictionary(net_data.DICTIONARY, "dictionary.toml")
    net_data.write(folder, people, net_data.symptoms(people, 1))
    records = Records.open(":memory:")
    import_folder(records, dictionary, folder, consent_purposes=frozenset())
    return records


def test_what_cannot_be_scored_changes_nothing(
    make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with asked_over_http(make(**HUGE), monkeypatch) as client:
        ASKED["binomial"](client.study("als-progression")).save(tmp_path / "model.safetensors")
    model = read_model(tmp_path / "model.safetensors")
    people = net_data.members(4, 20)
    people.loc[:4, "age"] = np.nan
    records = records_of(people, tmp_path / "data")
    there = tmp_path / "there.csv"
    there.write_text("mine")
    for out, says in (
        (there, "cannot be written"),
        (tmp_path / "scores.txt", r"as \.csv"),
        (tmp_path / "none" / "scores.csv", "cannot be written"),
    ):
        with pytest.raises(BadInput, match=says):
            score(records, model, out)
    assert there.read_text() == "mine"
    assert score(records, model, tmp_path / "scores.csv") == 20
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert sum(line.endswith(",") for line in lines) == 5
    empty = Records.open(":memory:")
    with pytest.raises(BadInput, match="another dictionary"):
        score(empty, model, tmp_path / "more.csv")
    assert not (tmp_path / "more.csv").exists()
    for name in ("model.json", "model.pkl", "none.safetensors"):
        with pytest.raises(BadInput):
            read_model(tmp_path / name)
