"""Answers made of an earlier release, which cost nothing more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coordinator.client.errors import BadInput, checking
from models.aggregates.accelerated import Law
from models.aggregates.requests import Survival, normalise, parse_analysis
from models.aggregates.time_ratios import METHOD, time_ratios
from models.regression.request import Regression, Reused
from models.regression.submodel import METHOD as OF_SUBMODELS
from models.regression.submodel import submodel
from privacy.errors import Code

if TYPE_CHECKING:
    from coordinator.client.model import Origin
    from coordinator.client.result import Result


def time_ratios_of(result: Result, law: Law) -> Result:
    """An accelerated failure time model of a survival table. Raises BadInput."""
    request = parse_analysis(result.asked.analysis)
    if not isinstance(request, Survival):
        raise BadInput(f"a {request.kind} has no survival times", instead="ask study.survival(…)")
    origin = _origin(result)
    with checking(Code.BAD_REQUEST):
        asked = normalise(request, origin.dictionary)
        if not isinstance(asked, Survival):
            raise BadInput("not a survival table")
        answer = time_ratios(asked, origin.dictionary, origin.last, law)
    sentence = f"{result.asked.sentence}, times taken for {law}"
    return replace(
        result,
        answer=answer,
        asked=replace(result.asked, sentence=sentence),
        repeat=True,
        derived=METHOD,
        question=None,
    )


def submodel_of(result: Result, formula: str) -> Result:
    """A linear regression with fewer terms than a released one. Raises BadInput."""
    request = parse_analysis(result.asked.analysis)
    if not isinstance(request, Regression):
        raise BadInput(f"a {request.kind} holds no smaller models", instead="ask study.glm(…)")
    origin = _origin(result)
    with checking(Code.BAD_REQUEST):
        smaller, answer = submodel(request, origin.dictionary, origin.every(), formula)
    asked = replace(
        result.asked,
        analysis=smaller.to_json(),
        sentence=result.asked.sentence.replace(request.words(), smaller.words(), 1),
    )
    return replace(
        result, answer=answer, asked=asked, repeat=True, derived=OF_SUBMODELS, question=None
    )


def reused_from(result: Result) -> Reused:
    """What a released regression opened of its covariates. Raises BadInput."""
    request = parse_analysis(result.asked.analysis)
    if not isinstance(request, Regression):
        raise BadInput(
            f"a {request.kind} opened no products of covariates",
            where="reuse",
            instead="name an answer of study.glm(…)",
        )
    if result.derived:
        raise BadInput(
            "this answer was made of another release", where="reuse", instead="name that release"
        )
    return Reused.of(result.release, request, _origin(result).every())


def _origin(result: Result) -> Origin:
    if result.origin is None:
        raise BadInput("this result does not know its release", instead="study.release(…)")
    return result.origin()
