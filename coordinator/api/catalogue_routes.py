"""What there is to ask about: conditions by variables, in public bands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query

from coordinator.api.entitlement import visible_versions
from coordinator.api.library import LOOKED_AT
from coordinator.api.schema import BandView, CatalogueView, VariableView
from coordinator.api.services import ReleaseReader, Services, Use
from coordinator.store.facts import Principal, ReleaseFacts
from models.aggregates.requests import parse_analysis
from models.coverage import TELLING, Covered, covered, layouts
from models.result import Result
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.contract.plan import Plan
from privacy.errors import BadInput

router = APIRouter(prefix="/v1", tags=["studies"])


@dataclass(frozen=True)
class _Found:
    """What a release says of one level and one variable."""

    covered: Covered
    release: ReleaseFacts
    plan: Plan

    @property
    def rank(self) -> tuple[str, float]:
        """The newest data first, then the narrowest interval."""
        return self.plan.epoch, self.covered.told.low - self.covered.told.high

    def view(self) -> BandView:
        band = self.covered.band
        return BandView(
            at_least=band.at_least,
            below=band.below,
            release=self.release.digest,
            study=self.plan.study,
            epoch=self.plan.epoch,
        )


@router.get("/catalogue", operation_id="getCatalogue")
def get_catalogue(
    services: Use,
    caller: ReleaseReader,
    by: Annotated[str, Query(max_length=200, description="A column; conditions without it.")] = "",
) -> CatalogueView:
    """Variables by the levels of a column, each with a band of members who have a value.

    Bands are read off releases that you may see, of everybody and of the dictionary in force, so
    they cost nothing; where none tells, there is no band.
    """
    dictionary = services.store.network.dictionary
    choices = layouts(dictionary)
    if by and dictionary.resolve(by).name not in choices:
        raise BadInput(f"{by!r} has no levels to lay a catalogue out by", where="by")
    layout = dictionary.resolve(by).name if by else next(iter(choices), "")
    best = _best(services, caller, dictionary, layout) if layout else {}
    levels = dictionary.resolve(layout).column.levels if layout else ()

    def bands(column: str) -> list[BandView | None]:
        found = (best.get((level, column)) for level in levels)
        return [None if each is None else each.view() for each in found]

    refs = [ref for ref in dictionary.refs.values() if not ref.column.identifier]
    return CatalogueView(
        by=layout,
        choices=list(choices),
        levels=list(levels),
        members=bands(""),
        variables=[_variable(ref, bands(ref.name)) for ref in refs if ref.name != layout],
    )


def _variable(ref: ColumnRef, bands: list[BandView | None]) -> VariableView:
    return VariableView(
        name=ref.name,
        type=ref.column.type.value,
        label=ref.column.label,
        countable=bool(ref.column.cell_labels) and not ref.many,
        bands=bands,
    )


def _best(
    services: Services, caller: Principal, dictionary: Dictionary, layout: str
) -> dict[tuple[str, str], _Found]:
    """For each level and variable what tells most."""
    told: dict[tuple[str, str], list[_Found]] = defaultdict(list)
    for found in _told(services, caller, dictionary, layout):
        told[found.covered.level, found.covered.column].append(found)
    return {place: max(found, key=lambda each: each.rank) for place, found in told.items()}


def _told(
    services: Services, caller: Principal, dictionary: Dictionary, layout: str
) -> Iterator[_Found]:
    versions = visible_versions(services.store, caller)
    for release, plan in services.store.releases.newest(versions, LOOKED_AT):
        told = plan.analysis.get("kind") in TELLING and not plan.cohort
        if not told or plan.dictionary != dictionary.digest:
            continue
        try:
            analysis = parse_analysis(plan.analysis)
        except BadInput:  # of a newer program
            continue
        result = Result.from_json(release.result)
        for each in covered(analysis, dictionary, result, layout):
            yield _Found(each, release, plan)
