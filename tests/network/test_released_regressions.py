"""Regressions as a researcher fits, saves, loads and judges them over the network."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.client import BadInput, load_model
from coordinator.client.network import Network as Client
from coordinator.client.transport import Transport
from models.released.fitted import FittedRegression
from models.rows import from_tables
from privacy.errors import VerificationFailed
from tests.support import net_data
from tests.support.network import Network
from tests.support.served import asked_over_http

FORMULA, HAPPENED = "treatment ~ age + condition", "riluzole"
HUGE = {"epsilon_allowance": "1e9", "yearly_epsilon": "1e9"}


@pytest.fixture
def researcher(make: Callable[..., Network], monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with asked_over_http(make(count=200, **HUGE), monkeypatch) as client:
        yield client


def test_a_regression_is_fitted_saved_loaded_and_judged(researcher: Client, tmp_path: Path) -> None:
    study = researcher.study("als-progression")
    fit = study.glm(FORMULA, "binomial", happened=HAPPENED, way="newton").run(epsilon=10_000_000)
    judged = study.evaluate(fit, by="condition").run(epsilon=10_000_000)
    assert judged.rounds == 1
    path = tmp_path / "fit.safetensors"
    fit.save(path, intended_use="planning visits", judged=[judged])
    model = load_model(path)
    assert isinstance(model, FittedRegression)
    for name, value in fit.coefficients["coef"].items():
        assert model.fit.values[model.fit.names.index(name)] == pytest.approx(value, rel=1e-9)
    people = net_data.members(9, 50)
    said = model.predict(people[["age", "condition"]])
    assert np.array_equal(said, model.predict(from_tables(study.dictionary, {"members": people})))
    assert ((said > 0) & (said < 1)).all()
    assert study.evaluate(path).analysis == study.evaluate(fit).analysis
    card = fit.card("planning visits", [judged])
    for part in ("planning visits", "disease-research", "als-union, mood-circle, ms-league",
                 study.dictionary.digest, fit.receipts[0].leaf[:16], fit.release, judged.release,
                 "condition = als", "AUC", "Intercept"):  # fmt: skip
        assert part in card
    other = study.glm(FORMULA, "binomial", happened=HAPPENED, way="gram").run(epsilon=10_000_000)
    with pytest.raises(BadInput, match="another model"):
        other.card(judged=[judged])
    with pytest.raises(BadInput, match=r"study\.evaluate"):
        fit.card(judged=[other])


@pytest.mark.parametrize("field", ["state", "totals"])
def test_rounds_that_the_release_does_not_name_are_refused(
    field: str, researcher: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = researcher.study("als-progression").glm("age ~ condition", way="gram").run(epsilon=10)
    assert fit.model().card["provenance"]["receipts"]
    whole = Transport.get

    def changed(self: Transport, path: str, **query: Any) -> Any:
        found = whole(self, path, **query)
        if path.endswith("/rounds"):
            data = b64decode(found["rounds"][1][field])
            found["rounds"][1][field] = b64encode(data[:-1] + bytes([data[-1] ^ 1])).decode()
        return found

    monkeypatch.setattr(Transport, "get", changed)
    with pytest.raises(VerificationFailed, match="not that of the release"):
        fit.model()
