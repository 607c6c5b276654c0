"""What a network reads: scaled by public bounds, one-hot, with missing values marked."""

from __future__ import annotations

import numpy as np
import pytest

from models.neural.architecture import Gru, Mlp
from models.neural.features import encode, encoding
from models.neural.outcome import Amount, Event, Level, outcome_of, predictions
from models.neural.specification import Specification
from models.rows import Rows, from_tables
from privacy.errors import BadInput
from tests.support.training import patients, registry

MLP = Mlp(widths=(4,))


def few() -> Rows:
    return from_tables(
        registry(),
        {
            "patients": {
                "id": [1, 2, 3],
                "age": [20, 90, None],
                "stage": ["iii", None, "i"],
                "improved": ["true", "false", None],
                "onset": ["1997-05-19", None, "2024-10-04"],
            },
            "visits": {"id": [1, 1, 2], "walk": [600.0, 0.0, 300.0], "arm": ["a", None, "b"]},
        },
    )


def test_numbers_are_scaled_by_declared_bounds_and_missing_ones_marked() -> None:
    plan = encoding(registry(), MLP, ("age", "stage", "onset"), "improved")
    outcome = outcome_of(registry(), "improved")
    batch = encode(plan, outcome, few(), np.array([True, True, True]))
    assert batch.inputs.static.tolist() == [
        [-1, 0, 0, 0, 1, 0, -1, 0],
        [1, 0, 0, 0, 0, 1, 0, 1],
        [0, 1, 1, 0, 0, 0, 1, 0],
    ]
    assert batch.known.tolist() == [True, True, False]
    assert batch.target.tolist() == [1, 0, 0]


def test_many_rows_are_visits_of_a_sequence_or_a_mean() -> None:
    outcome = outcome_of(registry(), "improved")
    asked = np.ones(3, dtype=np.bool_)
    visits = encode(encoding(registry(), Gru(), ("walk", "arm"), "improved"), outcome, few(), asked)
    assert visits.inputs.visits.shape == (3, 4, 5)
    assert visits.inputs.present.tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert visits.inputs.visits[0, :2].tolist() == [[1, 0, 1, 0, 0], [-1, 0, 0, 0, 1]]
    means = encode(encoding(registry(), MLP, ("walk", "arm"), "improved"), outcome, few(), asked)
    assert means.inputs.static.tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 1, 0, 0, 1]]


def test_rows_beyond_the_declared_number_are_left_out() -> None:
    rows = patients(200, 1)
    plan = encoding(registry(), Gru(), ("walk",), "improved")
    outcome = outcome_of(registry(), "improved")
    batch = encode(plan, outcome, rows, np.ones(200, dtype=np.bool_))
    visits = np.bincount(rows.tables["visits"].member, minlength=200)
    assert visits.max() > 4
    assert batch.inputs.present.sum(axis=1).tolist() == np.minimum(visits, 4).tolist()


def test_a_member_without_visits_is_left_out_where_visits_are_read() -> None:
    outcome = outcome_of(registry(), "sex")
    rows = from_tables(
        registry(),
        {"patients": {"id": [1, 2], "sex": ["f", "m"]}, "visits": {"id": [2], "walk": [None]}},
    )
    for network in (MLP, Gru()):
        plan = encoding(registry(), network, ("walk", "age"), "sex")
        assert encode(plan, outcome, rows, np.ones(2, dtype=np.bool_)).known.tolist() == [
            False, True
        ]  # fmt: skip
    plan = encoding(registry(), MLP, ("age",), "sex")
    assert encode(plan, outcome, rows, np.ones(2, dtype=np.bool_)).known.all()


def test_figures_of_many_rows_are_features_like_columns() -> None:
    plan = encoding(registry(), MLP, ("count(visits)", "mean(visits.walk)"), "improved")
    outcome = outcome_of(registry(), "improved")
    batch = encode(plan, outcome, few(), np.ones(3, dtype=np.bool_))
    assert batch.inputs.static.tolist() == [[0, 0, 0, 0], [-0.5, 0, 0, 0], [-1, 0, 0, 1]]


def test_every_number_read_is_within_one() -> None:
    plan = encoding(registry(), Gru(), ("age", "onset", "walk", "sex", "arm"), "score")
    outcome = outcome_of(registry(), "score")
    batch = encode(plan, outcome, patients(300, 2), np.ones(300, dtype=np.bool_))
    for array in (batch.inputs.static, batch.inputs.visits, batch.target):
        assert np.abs(array).max() <= 1


def test_outcomes_are_an_event_a_level_or_an_amount() -> None:
    event = outcome_of(registry(), "improved", "false")
    assert isinstance(event, Event)
    assert event.event == 0
    assert isinstance(outcome_of(registry(), "stage"), Level)
    amount = outcome_of(registry(), "score")
    assert isinstance(amount, Amount)
    assert predictions(amount, np.array([[-1.0], [0.0], [1.0]])).tolist() == [0, 24, 48]
    shares = predictions(outcome_of(registry(), "stage"), np.array([[0.0, 1.0, 1.0]]))
    assert shares.sum() == pytest.approx(1)
    assert predictions(event, np.array([[0.0]])).tolist() == [0.5]


@pytest.mark.parametrize(
    ("features", "outcome", "what"),
    [
        (("story",), "improved", "neither levels nor bounds"),
        (("age", "age"), "improved", "each once"),
        ((), "improved", "each once"),
        (("age", "improved"), "improved", "is the outcome"),
        (("age",), "walk", "many rows"),
        (("age",), "story", "neither bounds"),
        (("height",), "improved", "no column 'height'"),
    ],
)
def test_what_no_network_can_read_is_refused(
    features: tuple[str, ...], outcome: str, what: str
) -> None:
    specification = Specification(network=MLP, outcome=outcome, features=features)
    with pytest.raises(BadInput, match=what):
        specification.normalised(registry())


def test_what_is_read_does_not_print() -> None:
    plan = encoding(registry(), MLP, ("age",), "improved")
    outcome = outcome_of(registry(), "improved")
    batch = encode(plan, outcome, few(), np.ones(3, dtype=np.bool_))
    assert "array" not in repr(batch)
    assert "array" not in repr(batch.inputs)
