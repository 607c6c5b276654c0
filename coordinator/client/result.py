"""A released answer: unbiased numbers with their errors, the noise, and the receipts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.client import errors, export, fitted, summary
from coordinator.client.receipts import Asked, CombinedNoise, Logging, Noise, Receipt, Released
from coordinator.client.titles import Titles
from models import result as estimates
from models.aggregates.requests import parse_analysis
from models.digits import digits
from privacy.contract.canonical import parse_rational, rational
from privacy.errors import BadInput
from privacy.mechanism import GaussianSum

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

    from coordinator.client.model import Origin
    from coordinator.client.question import Epsilon, Question
    from models.aggregates.accelerated import Law
    from models.released.files import ReleasedModel

_SHOWN_ROWS = 40


@dataclass(frozen=True)
class Result:
    """The answer to one run. `table` is for computing, `display` for reading.

    Read from what is here, nothing is sent. Raises BadInput for what this analysis does not have.
    """

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
    derived: str = ""  # how it was made of a release, where it is no release itself
    releases: tuple[Released, ...] = ()  # all that the answer is made of, the newest last
    question: Question | None = field(default=None, repr=False, compare=False)
    titles: Callable[[], Titles] = field(default=dict, compare=False, repr=False)
    origin: Callable[[], Origin] | None = field(default=None, compare=False, repr=False)
    logged: Logging | None = None  # where it stands in the coordinator's own log, verified

    @cached_property
    def table(self) -> pd.DataFrame:
        """One line per cell: estimate, se_sampling, se_noise, se, low, high, noise_share."""
        return estimates.table(self.answer)

    @cached_property
    def display(self) -> pd.DataFrame:
        """Clipped to the legal range and rounded to what the noise supports."""
        return estimates.display(self.answer)

    @cached_property
    def coefficients(self) -> pd.DataFrame:
        """Of `glm`, `cox` and `progression`, by term: coef, se_sampling, se_noise, se, z, p, low,
        high, noise_share. Raises AttributeError for any other kind."""
        return fitted.coefficients(self.answer)

    @property
    def cost(self) -> str:
        """What the answer cost, in words."""
        price = f"epsilon {self.epsilon:.4g} at delta {float(self.delta):.3g}"
        return f"a stored answer, at no cost (it was {price})" if self.repeat else price

    @property
    def spent(self) -> float:
        """What this run cost, as epsilon: 0 for a stored answer and for mock data."""
        if self.repeat or self.mock:
            return 0.0
        return self.releases[-1].epsilon if self.releases else self.epsilon

    def top_up(
        self, epsilon: Epsilon, *, max_attempts: int = 1, timeout_seconds: float = 120.0
    ) -> Result:
        """Ask the same again for `epsilon` more, and combine all releases into one answer.

        Each weighs by the inverse of its noise variance. Costs `epsilon`, and what was spent
        before stays spent. Raises Refused(NOT_COMBINABLE), before anything is spent, where
        other nodes would answer, the month is another or the analysis asks in rounds.

        Example: `result.top_up(epsilon=0.2)`
        """
        if self.question is None:
            raise errors.BadInput(
                "this result does not know its question", instead="question.top_up(…)"
            )
        return self.question.top_up(
            self, epsilon=epsilon, max_attempts=max_attempts, timeout_seconds=timeout_seconds
        )

    def submodel(self, formula: str) -> Result:
        """Of a linear `glm`: the same outcome by fewer of its terms, from what was opened.

        Costs nothing more. Raises BadInput for terms that are not in the fit, for another
        family, and where the fit was made by `gradient`, which opens no products.

        Example: `fit.submodel("phq9 ~ age")`
        """
        from coordinator.client.derived import submodel_of

        return submodel_of(self, formula)

    def aft(self, law: Law = "weibull") -> Result:
        """Of `survival`: time ratios between groups, from the same released table.

        `law` is weibull, exponential, lognormal or loglogistic. Costs nothing more. Of a
        topped-up answer the newest release is read. Raises BadInput for another analysis.

        Example: `result.aft("weibull")`
        """
        from coordinator.client.derived import time_ratios_of

        return time_ratios_of(self, law)

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
            "rho": rational(self.rho),
            "epsilon": self.epsilon,
            "delta": rational(self.delta),
            "spent": self.spent,
            "rounds": self.rounds,
            "noise": self.noise.to_json(),
            "receipts": [vars(receipt) for receipt in self.receipts],
            "identity": self.identity,
            "release": self.release,
            "releases": [each.to_json() for each in self.releases],
            "run": self.run,
            "repeat": self.repeat,
            "mock": self.mock,
        }

    def plot(self, *, raw: bool = True) -> ChartType:
        """An Altair chart of the answer with its intervals, which hold the noise.

        It draws `table`; with `raw=False` what `display` has, clipped to the legal range. The
        data are inside the chart, so `.save("x.svg")` needs no network.

        Example: `result.plot().save("answer.svg")`
        """
        from coordinator.client.plots.draw import chart_of

        return chart_of(self, self.titles(), raw=raw)

    def methods(self) -> str:
        """A paragraph for the methods section.

        Example: `print(result.methods())`
        """
        nodes = self.noise.survivors
        times = "The release satisfies"
        if len(self.releases) > 1:
            times = f"{len(self.releases)} releases, averaged by inverse variance, together satisfy"
        kept = "made-up members" if self.mock else f"members of {nodes} organisations"
        return (
            f"{self.asked.sentence} ({kept}; study {self.asked.study!r}, purpose "
            f"{self.asked.purpose!r}). The records stayed at the organisations; a secure sum "
            f"opened only {self._opened}, with discrete Gaussian noise added by every "
            "organisation. "
            f"{times} zero-concentrated differential privacy with "
            f"rho = {float(self.rho):.6g}, "
            f"that is (epsilon = {self.epsilon:.4g}, delta = {float(self.delta):.3g}), for adding "
            "or removing one member with all their records. The opened totals are unbiased and not "
            "clipped; intervals cover 95 % and include the privacy noise, of "
            f"{self.noise.relative_to_curator:.2f} times a trusted curator's standard deviation."
            f"{self._method()}"
        )

    @property
    def _opened(self) -> str:
        many = f"the totals of {self.rounds} rounds, each asked with what was opened before it"
        return "the total" if self.rounds == 1 else many

    def _method(self) -> str:
        """What is special about this analysis, after the general part."""
        try:
            said = parse_analysis(self.asked.analysis).method()
        except BadInput:  # a release of a newer program: its question cannot be read here
            return ""
        return "".join(f" {each}" for each in (said, self.derived) if each)

    def summary(self) -> str:
        """The answer in a few plain sentences: at most six figures, then what to bear in mind.

        Of `glm`, `cox` and `progression` a table of coefficients, for reading.

        Example: `print(result.summary())`
        """
        if self.answer.kind in fitted.KINDS:
            return fitted.summary(self)
        return summary.summary(self.answer, self.asked.sentence, mock=self.mock)

    def save(
        self,
        path: str | Path,
        *,
        intended_use: str = "",
        judged: Sequence[Result] = (),
    ) -> None:
        """Write the table with its notes, cost and receipts: .csv, .parquet or .json; .ipynb is a
        notebook with them, .r a script.

        Of a run of training, and of `glm`, `cox` and `progression`, .safetensors writes the model,
        and its card to the .json beside it; `card` says what the other two are.

        Raises BadInput for another ending.

        Example: `result.save("answer.csv")`
        """
        export.save(self, path, intended_use, judged)

    def model(self, intended_use: str = "", judged: Sequence[Result] = ()) -> ReleasedModel:
        """The network or regression that a run released; raises BadInput for another analysis.

        Example: `fit.model().predict(frame)`
        """
        from coordinator.client.model import model_of

        return model_of(self, intended_use, judged)[0]

    def card(self, intended_use: str = "", judged: Sequence[Result] = ()) -> str:
        """The model's card as Markdown: what it is for, what it cost, how well it does.

        `judged`: answers of `study.evaluate(...)` of this model, by group, to stand in it.

        Raises BadInput for another analysis.

        Example: `print(fit.card("planning visits"))`
        """
        from coordinator.client.model import card_text

        return card_text(self, intended_use, judged)

    def __str__(self) -> str:
        title = "MOCK DATA — " if self.mock else ""
        lines = [f"{title}{self.asked.sentence}", *self._rows()]
        lines += [f"  {note}" for note in self.answer.notes]
        lines.append(f"  cost: {self.cost}")
        if len(self.releases) > 1:
            lines.append(f"  combined of {len(self.releases)} releases")
        return "\n".join([*lines, *(f"  receipt: {each}" for each in self.shown_receipts)])

    @property
    def shown_receipts(self) -> list[str]:
        """One line per entry, of a run of several rounds one per node; and the log's."""
        return [*self._shown_entries(), *([str(self.logged)] if self.logged else [])]

    def _shown_entries(self) -> list[str]:
        if self.rounds == 1:
            return [str(receipt) for receipt in self.receipts]
        entries: dict[str, list[int]] = {}
        for receipt in self.receipts:
            entries.setdefault(receipt.node, []).append(receipt.seq)
        return [
            f"{node}: {len(seen)} entries, {min(seen)} to {max(seen)}"
            for node, seen in entries.items()
        ]

    __repr__ = __str__

    def _rows(self) -> list[str]:
        rows = [f"  {self._row(row)}" for row in self.answer.rows[:_SHOWN_ROWS]]
        more = len(self.answer.rows) - len(rows)
        return rows + ([f"  … and {more:,} more cells"] if more else [])

    def _row(self, row: estimates.Estimate) -> str:
        name = ", ".join(part for part in row.cell if part) or "all"
        unit = f" {self.answer.unit}" if self.answer.unit else ""
        squared = " squared" if unit and "variance" in row.cell else ""
        middle, low, high = (digits(each, 4) for each in (row.estimate, row.low, row.high))
        noted = f" ({row.note})" if row.note else ""
        share = f"noise {row.noise_share:.0%} of the variance"
        return f"{name}: {middle}{unit}{squared} [{low}, {high}], {share}{noted}"


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
        receipts=_receipts(said),
        rounds=len(said["rounds"]),
        identity=run["identity"],
        release=said["release"],
        run=run["id"],
        repeat=run["repeat"],
        releases=(_released(said),),
        titles=titles,
    )


def combined_result(last: Result, combined: Mapping[str, Any]) -> Result:
    """`last` as all releases together answer it, from the coordinator's view of them."""
    answers = [release["answer"] for release in combined["releases"]]
    mechanism = GaussianSum.from_json(combined["mechanism"])
    return replace(
        last,
        answer=estimates.Result.from_json(combined["result"]),
        rho=parse_rational(combined["rho"]),
        epsilon=float(combined["epsilon"]),
        noise=CombinedNoise(mechanism, last.noise.survivors, int(combined["variance_grid"])),
        receipts=tuple(receipt for said in answers for receipt in _receipts(said)),
        releases=tuple(map(_released, answers)),
    )


def _released(said: Mapping[str, Any]) -> Released:
    rho, epsilon = parse_rational(said["rho"]), float(said["epsilon"])
    return Released(said["release"], rho, epsilon, said["released_at"])


def _receipts(said: Mapping[str, Any]) -> tuple[Receipt, ...]:
    return tuple(_receipt(each) for one in said["rounds"] for each in one["receipts"])


def _receipt(said: Mapping[str, Any]) -> Receipt:
    return Receipt(
        node=str(said["node"]),
        seq=int(said["seq"]),
        leaf=str(said["leaf"]),
        checkpoint=str(said["checkpoint"]),
    )
