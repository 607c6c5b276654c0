"""What a researcher may ask of the aggregates: a closed set of frozen requests.

To add one, write its class (a `models.aggregates.request.Request`) in a module beside this one,
and name it in `Analysis` and `_KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.aggregates.associations import Associations
from models.aggregates.compare import Compare
from models.aggregates.correlation import Correlation
from models.aggregates.counts import Count, Histogram
from models.aggregates.density import Density
from models.aggregates.describe import Describe
from models.aggregates.disproportionality import Disproportionality
from models.aggregates.incidence import Incidence
from models.aggregates.member_summary import MemberSummary
from models.aggregates.prevalence import Prevalence
from models.aggregates.quantiles import Quantiles
from models.aggregates.regions import Map
from models.aggregates.survival import Survival
from models.aggregates.tables import Table
from models.aggregates.top import Top
from models.aggregates.treatment import TreatmentReport
from models.aggregates.values import Mean, Sum
from models.aggregates.variance import Variance
from models.neural.request import Train
from models.regression.cox import Cox
from models.regression.effect import Effect
from models.regression.progression import Progression
from models.regression.request import Regression
from models.released.evaluate import Evaluate
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput

__all__ = [
    "KINDS",
    "Analysis",
    "Associations",
    "Compare",
    "Correlation",
    "Count",
    "Cox",
    "Density",
    "Describe",
    "Disproportionality",
    "Effect",
    "Evaluate",
    "Histogram",
    "Incidence",
    "Map",
    "Mean",
    "MemberSummary",
    "Prevalence",
    "Progression",
    "Quantiles",
    "Regression",
    "Sum",
    "Survival",
    "Table",
    "Top",
    "Train",
    "TreatmentReport",
    "Variance",
    "normalise",
    "parse_analysis",
]

Analysis = (
    Associations
    | Compare
    | Correlation
    | Count
    | Cox
    | Density
    | Describe
    | Disproportionality
    | Effect
    | Evaluate
    | Histogram
    | Incidence
    | Map
    | Mean
    | MemberSummary
    | Prevalence
    | Progression
    | Quantiles
    | Regression
    | Sum
    | Survival
    | Table
    | Top
    | Train
    | TreatmentReport
    | Variance
)

_BY_KIND: Mapping[str, type[Analysis]] = {
    "count": Count,
    "histogram": Histogram,
    "mean": Mean,
    "sum": Sum,
    "table": Table,
    "prevalence": Prevalence,
    "survival": Survival,
    "disproportionality": Disproportionality,
    "associations": Associations,
    "correlation": Correlation,
    "variance": Variance,
    "density": Density,
    "describe": Describe,
    "map": Map,
    "top": Top,
    "treatment_report": TreatmentReport,
    "train": Train,
    "evaluate": Evaluate,
    "incidence": Incidence,
    "quantiles": Quantiles,
    "compare": Compare,
    "member_summary": MemberSummary,
    "glm": Regression,
    "cox": Cox,
    "progression": Progression,
    "effect": Effect,
}
KINDS: tuple[str, ...] = tuple(_BY_KIND)


def parse_analysis(value: Any) -> Analysis:
    """Read an analysis from JSON values.

    Raises BadInput naming the field for an unknown kind, an unknown or missing field, and a
    value of the wrong type. Columns are looked up by `normalise`.
    """
    if not isinstance(value, Mapping):
        raise BadInput("an analysis is an object with a kind", where="analysis")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in _BY_KIND:
        raise BadInput("unknown kind of analysis", where="analysis.kind", instead=_kinds())
    return _BY_KIND[kind].from_json(value)


def _kinds() -> str:
    return "write one of " + ", ".join(KINDS)


def normalise(analysis: Analysis, dictionary: Dictionary) -> Analysis:
    """The same request with every column as `table.column`; the order of `by` is kept.

    Raises BadInput for a column the dictionary does not declare or that does not fit the
    analysis, and Refused(TOO_MANY_CELLS). Nothing is spent: only public facts are read.
    """
    return analysis.normalised(dictionary)
