"""Terms that were not in force: limits, a policy, a mechanism to replay a ledger under.

A supposition turns each recorded statement into what would stand there. Whether that is then
admitted is for the ledger's own rules to say (`coordinator.audit.replay`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from fractions import Fraction

from privacy.accounting.conversion import parse_budget, rho_of_epsilon
from privacy.contract.canonical import rational
from privacy.contract.policy import Preset
from privacy.contract.presets import preset
from privacy.errors import BadInput
from privacy.ledger.entry import (
    Approval,
    Body,
    Commit,
    Mechanism,
    PolicySet,
    Reserve,
    ReservedRound,
)
from privacy.ledger.fields import parse_rho
from privacy.ledger.steward_entry import PeriodOpened
from privacy.mechanism import MAX_DELTA_GRID, GaussianSum
from privacy.units import Rho

NO_LIMIT = "none"
EVERYBODY_ELSE = "all"
MOST_NOISE = Fraction(1000)


class Limit(StrEnum):
    """Which limit is supposed to have been another one."""

    PERIOD = "period"
    STUDY = "study"
    RESEARCHER = "researcher"
    QUESTION = "question"


@dataclass(frozen=True)
class Supposition:
    """What is supposed; None, and a limit that is not named, leave what was in force.

    `limits` maps a limit to epsilon as decimal text, or to `none`. `margin` is how many
    organisations collude or drop out, None or a number, or -1 for all but one. `noise` is what
    the noise is multiplied by. `nodes` are the organisations it is supposed of; () for all.
    """

    limits: tuple[tuple[Limit, str], ...] = ()
    preset: Preset | None = None
    margin: int | None = None
    memberships: int | None = None
    noise: Fraction = Fraction(1)
    nodes: tuple[str, ...] = ()

    @property
    def changes_mechanism(self) -> bool:
        return self.margin is not None or self.memberships is not None or self.noise != 1

    @property
    def words(self) -> tuple[str, ...]:
        """What is supposed, a sentence each."""
        said = [f"{limit.value}: epsilon at most {text}" for limit, text in self.limits]
        said = [each.replace("epsilon at most none", "no limit of its own") for each in said]
        if self.preset is not None:
            said.append(f"the policy preset {self.preset.value}")
        if self.margin is not None:
            who = "all but one organisation" if self.margin < 0 else f"{self.margin}"
            said.append(f"a margin of {who} that collude or drop out")
        if self.memberships is not None:
            said.append(f"{self.memberships} memberships of one person")
        if self.noise != 1:
            said.append(f"noise multiplied by {float(self.noise):g}")
        if self.nodes:
            said.append("at " + ", ".join(self.nodes) + " alone")
        return tuple(said)

    def limit(self, which: Limit, delta: Fraction) -> tuple[bool, Rho | None]:
        """Whether this limit is supposed, and what it is then (None: no limit)."""
        text = dict(self.limits).get(which)
        if text is None:
            return False, None
        return True, None if text == NO_LIMIT else rho_of_epsilon(parse_budget(text), delta)


def supposition(
    limits: Sequence[str] = (),
    *,
    preset_name: str = "",
    margin: str = "",
    memberships: int | None = None,
    noise: str = "",
    nodes: Sequence[str] = (),
) -> Supposition:
    """Read what was written on a command line; raises BadInput naming the option."""
    found = Supposition(
        limits=tuple(_limit(text) for text in limits),
        preset=_preset(preset_name),
        margin=_margin(margin),
        memberships=memberships,
        noise=_noise(noise),
        nodes=tuple(sorted(set(nodes))),
    )
    if len(dict(found.limits)) != len(found.limits):
        raise BadInput("a limit is named twice", where="--limit")
    if memberships is not None and not 1 <= memberships <= 100:
        raise BadInput("memberships are 1 to 100", where="--memberships")
    if replace(found, nodes=()) == Supposition():
        raise BadInput("nothing is supposed", instead="write for example --limit period=1")
    return found


def _limit(text: str) -> tuple[Limit, str]:
    name, _, value = text.partition("=")
    try:
        which = Limit(name)
        if value == NO_LIMIT and which is Limit.PERIOD:
            raise BadInput("a period always has a limit", where="--limit")
        if value != NO_LIMIT:
            parse_budget(value)
    except (ValueError, BadInput) as error:
        what = str(error) if isinstance(error, BadInput) else f"no limit {name!r}"
        names = ", ".join(Limit)
        raise BadInput(what, where="--limit", instead=f"NAME=EPSILON, of {names}") from None
    return which, value


def _preset(name: str) -> Preset | None:
    if not name:
        return None
    known = [each.value for each in Preset if each is not Preset.OWN]
    if name not in known:
        raise BadInput(f"no preset {name!r}", where="--preset", instead="write " + ", ".join(known))
    return Preset(name)


def _margin(text: str) -> int | None:
    if text in ("", EVERYBODY_ELSE):
        return -1 if text else None
    if not text.isdecimal() or len(text) > 5:
        raise BadInput(f"no margin {text!r}", where="--margin", instead="a whole number, or all")
    return int(text)


def _noise(text: str) -> Fraction:
    if not text:
        return Fraction(1)
    try:
        factor = parse_budget(text)
    except BadInput as wrong:
        raise BadInput(wrong.what, where="--noise", instead="from 0.001 to 1000") from None
    if not 1 / MOST_NOISE <= factor <= MOST_NOISE:
        raise BadInput("noise is out of range", where="--noise", instead="from 0.001 to 1000")
    return factor


def supposed_body(suppose: Supposition, body: Body, delta: Fraction) -> Body:
    """What would stand in place of `body` in a ledger that states epsilon at `delta`."""
    match body:
        case PolicySet():
            return _policy(suppose, body, delta)
        case PeriodOpened():
            return _period(suppose, body, delta)
        case Approval():
            return _approval(suppose, body, delta)
        case Reserve() if suppose.changes_mechanism:
            return _reserve(suppose, body)
        case Commit() if suppose.changes_mechanism:
            mechanism = supposed_mechanism(suppose, body.mechanism)
            return body.model_copy(update={"mechanism": mechanism, "rho": mechanism.event.rho.text})
        case _:
            return body


def _policy(suppose: Supposition, body: PolicySet, delta: Fraction) -> PolicySet:
    if suppose.preset is not None:
        agreed = body.rules.linking  # whom to link with is the stewards' word, as it was
        body = PolicySet.of(preset(suppose.preset, rational(delta)), body.by, body.reason)
        rules = body.rules.model_copy(update={"linking": agreed})
        body = body.model_copy(update={"rules": rules})
    changes: dict[str, str | int | None] = {}
    if suppose.margin is not None:  # a mechanism that is supposed is no breach of a floor
        changes["min_collude"] = 0
    if suppose.memberships is not None:
        changes["max_memberships"] = min(body.max_memberships, suppose.memberships)
    for which, field in (
        (Limit.PERIOD, "ceiling_rho" if body.individual else "yearly_rho"),
        (Limit.STUDY, "study_rho"),
        (Limit.RESEARCHER, "researcher_rho"),
        (Limit.QUESTION, "question_rho"),
    ):
        named, rho = suppose.limit(which, delta)
        if named:
            changes[field] = None if rho is None else rho.text
    after = body.model_copy(update=changes)
    least = min(parse_rho(after.yearly_rho), parse_rho(after.public_rho))
    return after.model_copy(update={"yearly_rho": least.text})


def _period(suppose: Supposition, body: PeriodOpened, delta: Fraction) -> PeriodOpened:
    named, rho = suppose.limit(Limit.PERIOD, delta)
    if not named and suppose.preset is not None:
        rho = preset(suppose.preset, rational(delta)).public_rho
    return body if rho is None else body.model_copy(update={"budget_rho": rho.text})


def _approval(suppose: Supposition, body: Approval, delta: Fraction) -> Approval:
    changes: dict[str, str | None] = {}
    named, rho = suppose.limit(Limit.STUDY, delta)
    if named and rho is not None:
        changes["rho"] = rho.text
    named, rho = suppose.limit(Limit.RESEARCHER, delta)
    if named:
        changes["researcher_rho"] = None if rho is None else rho.text
    return body.model_copy(update=changes)


def _reserve(suppose: Supposition, body: Reserve) -> Reserve:
    events = [supposed_mechanism(suppose, each.mechanism) for each in body.rounds]
    rounds = tuple(ReservedRound(mechanism=each, rho=each.event.rho.text) for each in events)
    whole = Rho.total(each.event.rho for each in events) * body.max_attempts
    return body.model_copy(update={"rounds": rounds, "rho": whole.text})


def supposed_mechanism(suppose: Supposition, mechanism: Mechanism) -> Mechanism:
    """The same noise read under another margin, or more or less of it, or other memberships.

    The grid is whole numbers: more noise is a smaller bound in units of it, rounded up.
    """
    values = {field.name: getattr(mechanism, field.name) for field in fields(GaussianSum)}
    if suppose.margin is not None:
        most = mechanism.nodes - 1
        values["margin"] = most if suppose.margin < 0 else min(suppose.margin, most)
    if suppose.memberships is not None:
        values["memberships"] = suppose.memberships
    moved = math.ceil(mechanism.delta_grid / suppose.noise)
    values["delta_grid"] = min(max(moved, 1), MAX_DELTA_GRID)
    return Mechanism(**values)
