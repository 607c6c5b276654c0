"""Random terms and uses, for properties."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from privacy.contract.duo import Modifier, Permission, Research, Terms, Use

ALS, ALS_ORPHA, ALS_1 = "MONDO:0004976", "ORPHA:803", "MONDO:0007103"
MOTOR_NEURON, MS = "MONDO:0020128", "MONDO:0005301"
CONDITIONS = (ALS, ALS_1, MOTOR_NEURON, MS, ALS_ORPHA)
COUNTRIES = ("CH", "DE", "US")
STUDIES = ("a-study", "b-study")


def some(values: tuple[Any, ...], least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    found = st.sets(st.sampled_from(values), min_size=least)
    return found.map(lambda each: tuple(sorted(each)))


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    permission = draw(st.sampled_from(Permission))
    modifiers = draw(some(tuple(Modifier)))
    return Terms(
        permission=permission,
        conditions=draw(some(CONDITIONS, 1)) if permission is Permission.DISEASE else (),
        modifiers=modifiers,
        countries=draw(some(COUNTRIES, 1)) if Modifier.GEOGRAPHY in modifiers else (),
        studies=draw(some(STUDIES)) if Modifier.ASK in modifiers else (),
    )


@st.composite
def any_use(draw: st.DrawFn) -> Use:
    research = draw(st.sampled_from(Research))
    return Use(
        study=draw(st.sampled_from(STUDIES)),
        research=research,
        conditions=draw(some(CONDITIONS, 1 if research is Research.DISEASE else 0)),
        for_profit=draw(st.booleans()),
        commercial=draw(st.booleans()),
        countries=draw(some(COUNTRIES)),
        ethics_approval=draw(st.sampled_from(["", "EK-2026-17"])),
        publishes=draw(st.booleans()),
        returns_results=draw(st.booleans()),
    )
