"""What an earlier release already says of a question: the same, or a larger answer around it.

A pure rule over two normalised questions of one cohort and one dictionary. It offers and
decides nothing: whether members with a value missing in a further column matter is for the
reader to judge, so the words say so.
"""

from __future__ import annotations

from enum import StrEnum

from models.aggregates.requests import (
    Analysis,
    Associations,
    Correlation,
    Count,
    Density,
    Histogram,
    Incidence,
    Map,
    Mean,
    Prevalence,
    Quantiles,
    Regression,
    Survival,
    Table,
    Top,
    TreatmentReport,
    Variance,
)
from models.regression.request import check_reusable
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput


class Relation(StrEnum):
    """What an earlier answer is to a question."""

    SAME = "the same question"  # at another epsilon, of other nodes or in another month
    REORDERED = "the same figures in another order"
    WITHIN = "contains these figures"
    COVARIATES = "opened these covariates: ask with reuse"
    ADDED = "contains these figures as sums, of members with every column known"


def relation(asked: Analysis, earlier: Analysis, dictionary: Dictionary) -> Relation | None:
    """What `earlier` is to `asked`, both normalised and of one cohort; None if neither.

    Raises BadInput for a column that the dictionary does not declare.
    """
    if asked == earlier:
        return Relation.SAME
    if isinstance(asked, Regression):
        return _by_covariates(asked, earlier, dictionary)
    return _by_cells(asked, earlier, dictionary) or _by_kind(asked, earlier)


def _by_covariates(asked: Regression, earlier: Analysis, dictionary: Dictionary) -> Relation | None:
    """A regression that opened the products of all columns of `asked`."""
    if not isinstance(earlier, Regression) or asked.way != "gram" or asked.reuse is not None:
        return None
    try:
        check_reusable(asked, earlier, dictionary)
    except BadInput:
        return None
    return Relation.COVARIATES


def _counted(analysis: Analysis) -> tuple[str, ...] | None:
    """The columns in whose cells an answer counts members; None if it does not show counts."""
    match analysis:
        case Count(by=by) | Table(by=by):
            return by
        case Histogram(column=column):
            return (column,)
        case Map(region=region):
            return (region,)
        case Density(x=x, y=y, x_edges=(), y_edges=()):
            return (x, y)
        case _:
            return None


def _by_cells(asked: Analysis, earlier: Analysis, dictionary: Dictionary) -> Relation | None:
    """Counts in counts: by the same columns, or by more, over which they can be added up.

    Along a column of many rows a member stands in several cells, whose sum is no count.
    """
    has = _counted(earlier)
    wanted = _shares_of(asked) if isinstance(earlier, Table) else None
    wanted = _counted(asked) if wanted is None else wanted
    if wanted is None or has is None or not set(wanted) <= set(has):
        return None
    if isinstance(asked, Table | Map) and not isinstance(earlier, type(asked)):
        return None  # their margins, and shares, are more than cells
    if set(wanted) == set(has):
        if isinstance(asked, Prevalence):
            return Relation.WITHIN
        return Relation.WITHIN if wanted == has else Relation.REORDERED
    further = [dictionary.resolve(name) for name in has if name not in wanted]
    return None if any(ref.many for ref in further) else Relation.ADDED


def _shares_of(asked: Analysis) -> tuple[str, ...] | None:
    """The columns of a table in which a prevalence's shares stand."""
    match asked:
        case Prevalence(column=column, by=by) if len(by) <= 1:
            return (*by, column)
        case _:
            return None


def _by_kind(asked: Analysis, earlier: Analysis) -> Relation | None:
    """Answers that hold others as parts."""
    match asked, earlier:
        case Mean(column=one), Variance(column=other):
            found = one == other
        case Correlation(columns=few), Correlation(columns=many):
            found = set(few) <= set(many)
        case Top(column=one, k=few, cap=cap), Top(column=other, k=many, cap=same):
            found = one == other and few <= many and cap == same
        case Quantiles(column=one, q=few), Quantiles(column=other, q=many):
            found = one == other and set(few) <= set(many)
        case TreatmentReport(), TreatmentReport():
            same = asked.treatment == earlier.treatment
            found = same and set(asked.columns) <= set(earlier.columns)
        case Associations(claims=()), Associations(claims=()):
            exposures = set(asked.exposures) <= set(earlier.exposures)
            found = exposures and set(asked.outcomes) <= set(earlier.outcomes)
        case Incidence(by=(), weights=()), Incidence():
            named = (asked.events, asked.time, asked.per)
            found = named == (earlier.events, earlier.time, earlier.per)
        case Survival(), Survival():
            found = _same_curves(asked, earlier)
        case _:
            found = False
    return Relation.WITHIN if found else None


def _same_curves(asked: Survival, earlier: Survival) -> bool:
    """The same curves, told at more times and to the same end."""
    named = (asked.time, asked.event, asked.by, asked.happened)
    if named != (earlier.time, earlier.event, earlier.by, earlier.happened):
        return False
    return set(asked.edges) <= set(earlier.edges) and asked.edges[-1:] == earlier.edges[-1:]
