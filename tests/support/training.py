"""Training in memory, all rounds, over several organisations' rows: with noise or without."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.neural.architecture import Mlp
from models.neural.request import Shape, Train
from models.neural.shapes import MemberVectors, ScoreTables
from models.neural.specification import Specification
from models.noise_law import NoiseLaw
from models.opening import Opening
from models.reference import total
from models.rows import Rows, TableRows
from privacy.accounting.conversion import rho_of_epsilon
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.discrete_gaussian import noise_share
from privacy.mechanism import plan_mechanism
from privacy.units import Rho
from tests.support.rows_factory import categorical, many_rows, number, one_row
from tests.support.seeded import seeded_entropy

DELTA = Fraction(1, 10**6)


def small_mlp(rounds: int) -> dict[str, Any]:
    """A question about the clinic's members: treatment by age and condition."""
    return {
        "kind": "train",
        "specification": {
            "network": {"kind": "mlp", "widths": [4]},
            "outcome": "treatment",
            "features": ["age", "condition"],
        },
        "rounds": rounds,
    }


def registry() -> Dictionary:
    """Patients with one row each, and up to four visits."""
    return Dictionary(
        tables=(
            one_row(
                "patients",
                categorical("sex", "f", "m"),
                categorical("stage", "i", "ii", "iii"),
                number("age", ("20", "90"), unit="years"),
                number("weight", ("40", "140"), unit="kg"),
                number("score", ("0", "48"), unit="points"),
                Column(name="onset", type=ColumnType.DATE, lower="10000", upper="20000"),
                Column(name="improved", type=ColumnType.BOOLEAN, levels=("false", "true")),
                Column(name="story", type=ColumnType.TEXT),
            ),
            many_rows(
                "visits", 4, number("walk", ("0", "600"), unit="m"), categorical("arm", "a", "b")
            ),
        )
    )


def patients(members: int, seed: int, *, gaps: float = 0.1) -> Rows:
    """Members whose improvement depends on age, sex and their walks, not linearly."""
    draw = np.random.default_rng(seed)
    age, weight = draw.uniform(20, 90, members), draw.uniform(40, 140, members)
    sex, stage = draw.integers(0, 2, members), draw.integers(0, 3, members)
    visits = draw.integers(1, 7, members)
    member = np.repeat(np.arange(members), visits)
    rank = np.arange(len(member)) - np.repeat(np.cumsum(visits) - visits, visits)
    ability = draw.uniform(0, 600, members)
    walk = np.clip(ability[member] + draw.normal(0, 60, len(member)) - 20 * rank, 0, 600)
    bent = 2.5 * np.abs((age - 55) / 35) + 1.5 * sex + 3 * (ability / 600 - 0.5) - 2
    improved = (draw.random(members) < 1 / (1 + np.exp(-bent))).astype(np.int64)
    score = np.clip(24 + 6 * bent + draw.normal(0, 5, members), 0, 48)
    onset = np.datetime64("2000-01-01") + draw.integers(0, 8000, members).astype("timedelta64[D]")
    age[draw.random(members) < gaps] = np.nan
    stage[draw.random(members) < gaps] = -1
    improved[draw.random(members) < gaps] = -1
    everybody = np.arange(members)
    zero = np.zeros(members, dtype=np.int64)
    one = {
        "sex": sex,
        "stage": stage,
        "age": age,
        "weight": weight,
        "score": score,
        "onset": onset.astype("datetime64[D]"),
        "improved": improved,
    }
    many = {"walk": walk, "arm": draw.integers(0, 2, len(member))}
    tables = {"patients": TableRows(everybody, zero, one), "visits": TableRows(member, rank, many)}
    return Rows(registry(), members, tables)


def training(**fields: object) -> Train:
    """A small network for `improved`, normalised; fields of Train or its specification."""
    inner = {
        "network": Mlp(widths=(8,)),
        "outcome": "improved",
        "features": ("age", "sex", "stage", "weight"),
    }
    inner |= {name: fields.pop(name) for name in list(fields) if name in Specification.model_fields}
    return Train(specification=Specification(**inner), **fields).normalised(registry())


def summed(shape: Shape, rows: Rows) -> NDArray[np.int64]:
    """The un-noised total of one organisation."""
    everybody = np.ones(rows.members, dtype=np.bool_)
    if isinstance(shape, MemberVectors | ScoreTables):
        return shape.fold(rows, everybody)
    return total(shape, rows, everybody)


def rounds_of(
    request: Train,
    nodes: Sequence[Rows],
    epsilon: str,
    *,
    noise: bool = True,
    seed: int = 0,
    margin: int = 0,
) -> tuple[Opening, ...]:
    """Every round's opening. Without noise the grid is still that of `epsilon`."""
    dictionary = nodes[0].dictionary
    shares = request.shares(dictionary)
    rho = rho_of_epsilon(Fraction(epsilon), DELTA)
    opened: list[Opening] = []
    for number_, share in enumerate(shares):
        part = Rho(rho.units * share // sum(shares))
        mechanism = plan_mechanism(part, max(len(nodes), 1 + margin), margin)
        state = request.state(dictionary, opened)
        shape = request.contribution_at(dictionary, mechanism.delta_grid, number_, state)
        totals = np.sum([summed(shape, rows) for rows in nodes], axis=0)
        for node in range(len(nodes) if noise else 0):
            entropy = seeded_entropy(f"{seed}/{number_}/{node}")
            totals = totals + noise_share(entropy, mechanism.log2_sigma, shape.length)
        law = NoiseLaw(mechanism, mechanism.nodes)
        opened.append(Opening(tuple(totals.tolist()), law, state))
    return tuple(opened)
