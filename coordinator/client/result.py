"""A released answer: unbiased numbers with their errors, the noise, and the receipts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.client import export, summary
from coordinator.client.titles import Titles
from models import result as estimates
from models.aggregates.requests import parse_analysis
from models.noise_law import NoiseLaw
from privacy.contract.canonical import parse_rational
from privacy.errors import BadInput
from privacy.mechanism import GaussianSum

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

_SHOWN_ROWS = 40


@dataclass(frozen=True)
class Receipt:
    """What one node wrote into its ledger before its masked vector left."""

    node: str
    seq: int
    leaf: str
    checkpoint: str

    def __str__(self) -> str:
        return f"{self.node}: entry {self.seq}, leaf {self.leaf[:16]}…"


@dataclass(frozen=True)
class Noise:
    """The noise that the total really carries: `survivors` shares of the planned `nodes`."""

    mechanism: GaussianSum
    survivors: int

    @property
    def sd_grid(self) -> float:
        """Standard deviation in grid units, before the estimate's scaling."""
        return NoiseLaw(self.mechanism, self.survivors).sd_grid

    @property
    def relative_to_curator(self) -> float:
        """Noise over that of one trusted curator at the same rho: the price of the margin."""
        kept = self.mechanism.nodes - self.mechanism.margin
        return math.sqrt(self.survivors / kept)

    def to_json(self) -> dict[str, Any]:
        return {
            "mechanism": self.mechanism.to_json(),
            "survivors": self.survivors,
            "sd_grid": self.sd_grid,
            "relative_to_curator": self.relative_to_curator,
        }


@dataclass(frozen=True)
class Asked:
    """The question that was answered, in words and in canonical form."""

    study: str
    purpose: str
    sentence: str
    analysis: Mapping[str, Any]
    cohort: str


@dataclass(frozen=True)
class Result:
    """The answer to one run. `table` is for computing, `display` for reading."""

    asked: Asked
    answer: estimates.Result
    rho: Fraction  # of the release, exactly
    epsilon: float  # of the release, at `delta`, rounded up
    delta: Fraction
    noise: Noise
    receipts: tuple[Receipt, ...]
    identity: str
    release: str
    run: str
    repeat: bool
    mock: bool = False
    rounds: int = 1  # `noise` is that of the last one; there is a receipt of every one
    titles: Callable[[], Titles] = field(default=dict, compare=False, repr=False)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One line per cell: estimate, se_sampling, se_noise, se, low, high, noise_share."""
        return estimates.table(self.answer)

    @cached_property
    def display(self) -> pd.DataFrame:
        """Clipped to the legal range and rounded to what the noise supports."""
        return estimates.display(self.answer)

    @property
    def spent(self) -> float:
        """What this run cost, as epsilon: 0 for a stored answer and for mock data."""
        return 0.0 if self.repeat or self.mock else self.epsilon

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        return {
            "study": self.asked.study,
            "question": {
                "sentence": self.asked.sentence,
                "analysis": dict(self.asked.analysis),
                "cohort": self.asked.cohort,
            },
            "result": self.answer.to_json(),
            "rho": f"{self.rho.numerator}/{self.rho.denominator}",
            "epsilon": self.epsilon,
            "delta": f"{self.delta.numerator}/{self.delta.denominator}",
            "spent": self.spent,
            "rounds": self.rounds,
            "noise": self.noise.to_json(),
            "receipts": [vars(receipt) for receipt in self.receipts],
            "identity": self.identity,
            "release": self.release,
            "run": self.run,
            "repeat": self.repeat,
            "mock": self.mock,
        }

    def plot(self, *, raw: bool = True) -> ChartType:
        """An Altair chart of the answer with its intervals, which hold the noise.

        It draws `table`; with `raw=False` what `display` has, clipped to the legal range. The
        data are inside the chart, so `.save("x.svg")` needs no network.
        """
        from coordinator.client.plots.draw import chart_of

        return chart_of(self, self.titles(), raw=raw)

    def methods(self) -> str:
        """A paragraph for the methods section."""
        nodes = self.noise.survivors
        kept = "made-up members" if self.mock else f"members of {nodes} organisations"
        return (
            f"{self.asked.sentence} ({kept}; study {self.asked.study!r}, purpose "
            f"{self.asked.purpose!r}). The records stayed at the organisations; a secure sum "
            "opened only the total, with discrete Gaussian noise added by every organisation. "
            "The release satisfies zero-concentrated differential privacy with "
            f"rho = {float(self.rho):.6g}, "
            f"that is (epsilon = {self.epsilon:.4g}, delta = {float(self.delta):.3g}), for adding "
            "or removing one member with all their records. Estimates are unbiased and not "
            "clipped; intervals cover 95 % and include the privacy noise, of "
            f"{self.noise.relative_to_curator:.2f} times a trusted curator's standard deviation."
            f"{self._method()}"
        )

    def _method(self) -> str:
        """What is special about this analysis, after the general part."""
        try:
            said = parse_analysis(self.asked.analysis).method()
        except BadInput:  # a release of a newer program: its question cannot be read here
            return ""
        return f" {said}" if said else ""

    def summary(self) -> str:
        """The answer in a few plain sentences: at most six figures, then what to bear in mind."""
        return summary.summary(self.answer, self.asked.sentence, mock=self.mock)

    def save(self, path: str | Path) -> None:
        """Write the table with its notes, cost and receipts: .csv, .parquet or .json."""
        export.save(self, path)

    def __str__(self) -> str:
        title = "MOCK DATA — " if self.mock else ""
        how = "stored answer, at no cost" if self.repeat else f"epsilon {self.epsilon:.4g}"
        lines = [f"{title}{self.asked.sentence}", *self._rows()]
        lines += [f"  {note}" for note in self.answer.notes]
        lines.append(f"  cost: {how} at delta {float(self.delta):.3g}")
        return "\n".join([*lines, *(f"  receipt: {receipt}" for receipt in self.receipts)])

    __repr__ = __str__

    def _rows(self) -> list[str]:
        unit = f" {self.answer.unit}" if self.answer.unit else ""
        rows = [
            f"  {', '.join(row.cell) or 'all'}: {row.estimate:,.4g}{unit} "
            f"[{row.low:,.4g}, {row.high:,.4g}], noise {row.noise_share:.0%} of the variance"
            + (f" ({row.note})" if row.note else "")
            for row in self.answer.rows[:_SHOWN_ROWS]
        ]
        more = len(self.answer.rows) - len(rows)
        return rows + ([f"  … and {more} more cells"] if more else [])


def result_from_run(
    run: Mapping[str, Any], purpose: str, sentence: str, titles: Callable[[], Titles] = dict
) -> Result:
    """From the coordinator's view of a released run; `titles` are fetched when a chart is drawn."""
    said = run["answer"]
    last = said["rounds"][-1]
    return Result(
        asked=Asked(run["study"], purpose, sentence, run["analysis"], run["cohort"]),
        answer=estimates.Result.from_json(said["result"]),
        rho=parse_rational(said["rho"]),
        epsilon=float(said["epsilon"]),
        delta=parse_rational(said["delta"]),
        noise=Noise(GaussianSum.from_json(last["mechanism"]), len(last["survivors"])),
        receipts=tuple(_receipt(each) for one in said["rounds"] for each in one["receipts"]),
        rounds=len(said["rounds"]),
        identity=run["identity"],
        release=said["release"],
        run=run["id"],
        repeat=run["repeat"],
        titles=titles,
    )


def _receipt(said: Mapping[str, Any]) -> Receipt:
    return Receipt(
        node=str(said["node"]),
        seq=int(said["seq"]),
        leaf=str(said["leaf"]),
        checkpoint=str(said["checkpoint"]),
    )
