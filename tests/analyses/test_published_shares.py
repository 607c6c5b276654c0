"""Published shares of treatment reports, reproduced from made-up members of ten organisations.

Each organisation's total carries its own exact noise share, as over a network; two of the ten
are in the margin. Counts: modafinil for its licensed purpose in 34 of 1,755 reports, dry mouth
in 88 of 220 reports on amitriptyline.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from models.aggregates.catalogue import contribution, estimate
from models.aggregates.requests import Analysis, Prevalence, Table, normalise
from models.noise_law import NoiseLaw
from models.reference import total
from models.result import Z95, Estimate
from models.rows import Rows, TableRows
from privacy.accounting.conversion import parse_epsilon, rho_of_epsilon
from privacy.contract.dictionary import Dictionary
from privacy.discrete_gaussian import noise_share
from privacy.mechanism import plan_mechanism
from tests.support.rows_factory import categorical, one_row
from tests.support.seeded import seeded_entropy

NODES, MARGIN = 10, 2
REPORTS = Dictionary(
    tables=(
        one_row(
            "reports",
            categorical("treatment", "modafinil", "amitriptyline"),
            categorical("found", "yes", "no"),
        ),
    )
)
PUBLISHED = (("modafinil", 34, 1755, 0.0065), ("amitriptyline", 88, 220, 0.05))


def members() -> Rows:
    """Everybody once: the treatment, and whether the report says what was counted."""
    treatment, found = [], []
    for code, (_, part, whole, _) in enumerate(PUBLISHED):
        treatment += [code] * whole
        found += [0] * part + [1] * (whole - part)
    everyone = np.arange(len(treatment))
    values = {"treatment": np.array(treatment), "found": np.array(found)}
    rows = TableRows(everyone, np.zeros(len(everyone), dtype=np.int64), values)
    return Rows(REPORTS, len(everyone), {"reports": rows})


def released(analysis: Analysis, seed: int) -> dict[tuple[str, ...], Estimate]:
    """The answer of ten organisations, each holding every tenth member."""
    rho = rho_of_epsilon(parse_epsilon("1"), Fraction(1, 10**6))
    mechanism = plan_mechanism(rho, NODES, MARGIN)
    asked = normalise(analysis, REPORTS)
    shape = contribution(asked, REPORTS, mechanism.delta_grid)
    rows, entropy = members(), seeded_entropy(seed)
    place = np.arange(rows.members) % NODES
    summed = sum(
        total(shape, rows.select(place == node), np.ones(int((place == node).sum()), dtype=bool))
        + noise_share(entropy, mechanism.log2_sigma, shape.length)
        for node in range(NODES)
    )
    law = NoiseLaw(mechanism, survivors=NODES)
    found = estimate(asked, REPORTS, [int(each) for each in summed], law)
    return {row.cell: row for row in found.rows}


@pytest.mark.parametrize(("treatment", "part", "whole", "target"), PUBLISHED)
def test_noise_widens_the_published_shares_by_little(
    treatment: str, part: int, whole: int, target: float
) -> None:
    """The half-width that noise alone gives, and the distance from the published share."""
    inside = 0
    for seed in range(40):
        row = released(Prevalence(column="found", by=("treatment",)), seed)[treatment, "yes"]
        assert Z95 * row.se_noise <= target
        inside += abs(row.estimate - part / whole) <= Z95 * row.se_noise
    assert inside >= 30  # of 40 at 95 %: fewer happen once in 10^6


def test_a_table_tells_the_same_share() -> None:
    table = released(Table(by=("treatment", "found")), seed=1)
    row = table["share within treatment", "modafinil", "yes"]
    assert row.low <= 34 / 1755 <= row.high
    assert Z95 * row.se_noise <= 0.0065
