"""Three policies to begin from, from the least to the most that an organisation takes part in."""

from __future__ import annotations

from typing import assert_never

from privacy.contract.duo import Modifier, Permission, Terms
from privacy.contract.policy import Automatic, Policy, Preset, Rules

_HEALTH = Permission.HEALTH
_CAREFUL_ANALYSES = (
    "count", "density", "describe", "histogram", "incidence", "map", "mean", "prevalence",
    "quantiles", "sum", "survival", "table", "top", "variance",
)  # fmt: skip


def preset(which: Preset, delta: str) -> Policy:
    """The policy of that name, for a network whose delta is `delta` (rational text)."""
    match which:
        case Preset.CAREFUL:
            return _careful(delta)
        case Preset.BALANCED:
            return _balanced(delta)
        case Preset.OPEN:
            return _open(delta)
        case Preset.OWN:
            return Policy(yearly_epsilon="3", delta=delta)
        case _:
            assert_never(which)


def _careful(delta: str) -> Policy:
    """Two stewards, a patient's sign-off, counting questions by themselves, others one by one."""
    rules = Rules(
        preset=Preset.CAREFUL,
        analyses=_CAREFUL_ANALYSES,
        terms=_terms(
            Modifier.NOT_FOR_PROFIT_NON_COMMERCIAL,
            Modifier.ETHICS,
            Modifier.PUBLICATION,
            Modifier.RETURN,
        ),
        approvers=2,
        embargo_days=14,
        each_question=True,
        automatic=(Automatic.COUNTS, Automatic.REFUSE_OUTSIDE),
        names_columns=True,
        by_organisation=False,
        reviewed=True,
    )
    return Policy(
        yearly_epsilon="1",
        study_epsilon="0.5",
        researcher_epsilon="0.3",
        question_epsilon="0.2",
        delta=delta,
        min_cohort=50,
        rules=rules,
    )


def _balanced(delta: str) -> Policy:
    """One steward approves studies; every analysis; health research that is published."""
    rules = Rules(
        preset=Preset.BALANCED,
        terms=_terms(Modifier.ETHICS, Modifier.PUBLICATION),
        embargo_days=2,
        automatic=(Automatic.REFUSE_OUTSIDE,),
        names_columns=True,
    )
    return Policy(
        yearly_epsilon="3",
        study_epsilon="1.5",
        researcher_epsilon="1",
        question_epsilon="0.5",
        delta=delta,
        min_cohort=20,
        max_drop=1,
        rules=rules,
    )


def _open(delta: str) -> Policy:
    """One steward approves studies; any research, also for profit; one yearly limit."""
    return Policy(
        yearly_epsilon="10",
        study_epsilon="5",
        delta=delta,
        min_cohort=5,
        max_drop=1,
        rules=Rules(preset=Preset.OPEN),
    )


def _terms(*modifiers: Modifier) -> Terms:
    return Terms(permission=_HEALTH, modifiers=tuple(sorted(modifiers)))
