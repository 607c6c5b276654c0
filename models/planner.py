"""What a question will cost and how well it will be answered, from public facts alone.

Guarantee: nothing here reads data, spends budget or depends on a member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from typing import Any, Self

from models.aggregates.catalogue import cells, expected_error
from models.aggregates.expected import Expected, Foretold
from models.aggregates.requests import Analysis, normalise
from models.coarser import Coarser, coarser
from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from models.digits import digits
from models.groups import groups, refuse_absurd
from models.reusing import reused_by
from models.sentences import sentence
from models.setting import Setting
from models.target import epsilon_for, parse_target
from privacy.accounting.conversion import epsilon_of_rho
from privacy.contract.dictionary import Dictionary
from privacy.errors import BadInput
from privacy.units import Rho

ASSUMED_MEMBERS = 1000  # where an error depends on the cohort's size and nobody says it
NOISY = 0.5  # share of the variance above which a preview warns


@dataclass(frozen=True)
class Preview(Foretold):
    """The price and the expected error of one question. Half-widths are of 95 % intervals.

    `rho` is charged at each node for the run, memberships included; `epsilon_charged` is what
    it comes to at `delta`. Noise and grid are those of the last of its `rounds`. Half-widths
    are per cell and None where they cannot be told (see `notes`); of `figure`, where the cells
    are figures of several kinds. `answering` names the nodes
    that can answer; the caller knows them.
    `target_error` is the half-width that `epsilon` was found for, if it was. `members` is the
    size that somebody knows (`members_from` says who), divided into `groups`.
    """

    sentence: str
    cohort: str
    epsilon: str
    rho: str
    epsilon_charged: float
    delta: float
    memberships: int
    nodes: int
    margin: int
    noise_sd_grid: float
    delta_grid: int
    cells: int
    unit: str
    half_noise: float | None
    half_sampling: float | None
    figure: str = ""
    rounds: int = 1
    target_error: float | None = None
    members: int | None = None
    members_from: str = ""
    groups: int | None = None
    coarser: tuple[Coarser, ...] = ()
    assumption: str = ""
    notes: tuple[str, ...] = ()
    answering: tuple[str, ...] = ()

    @property
    def members_per_cell(self) -> float | None:
        """Members to expect in a group, if they were spread evenly; None where nobody knows."""
        if self.members is None or self.groups is None:
            return None
        return self.members / self.groups

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with numbers (not canonical bytes)."""
        lists = {
            "notes": list(self.notes),
            "answering": list(self.answering),
            "coarser": [asdict(each) for each in self.coarser],
        }
        told = ("half_width", "noise_share", "members_per_cell")
        return {**asdict(self), **lists, **{name: getattr(self, name) for name in told}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read `to_json`'s form; raises BadInput."""
        names = {field.name for field in fields(cls)}
        kept = {name: item for name, item in value.items() if name in names}
        if set(kept) != names:
            raise BadInput("not a preview", where="preview")
        lists = {name: tuple(kept[name]) for name in ("notes", "answering")}
        try:
            variants = tuple(Coarser(**each) for each in kept["coarser"])
        except TypeError:
            raise BadInput("not a preview", where="preview.coarser") from None
        return cls(**{**kept, **lists, "coarser": variants})

    def __str__(self) -> str:
        lines = [("cost", self._cost()), ("answer", self._answer())]
        if self.target_error is not None:
            lines.insert(
                0, ("target", f"± {digits(self.target_error, 6)} takes epsilon {self.epsilon}")
            )
        if self.members_per_cell is not None and self.groups != 1:
            lines.append(("members", self._per_cell()))
        if self.assumption:
            lines.append(("assuming", self.assumption))
        lines.append(("noise", f"{self.nodes} nodes, of which {self.margin} may drop or collude"))
        if self.rounds > 1:
            lines.append(("rounds", f"{self.rounds}, each asked with what was opened before it"))
        if self.answering:
            lines.append(("answering", ", ".join(self.answering)))
        lines += [("coarser", str(each)) for each in self.coarser]
        lines += [("note", note) for note in self.notes]
        return "\n".join([self.sentence, *(f"  {name:<10} {text}" for name, text in lines)])

    def _per_cell(self) -> str:
        source = f" ({self.members_from})" if self.members_from else ""
        each = digits(self.members_per_cell or 0.0)
        return f"{self.members:,}{source}, {each} a cell if spread evenly"

    def _cost(self) -> str:
        rho = f"rho {float(Fraction(self.rho)):.6g}"
        many = f" for {self.memberships} memberships" if self.memberships > 1 else ""
        return f"epsilon {self.epsilon_charged:.4g}{many} at delta {self.delta:g} ({rho})"

    def _answer(self) -> str:
        each = f"{self.cells:,} cells, each " if self.cells > 1 else ""
        many = f"{self.figure} " if self.figure else each
        if self.half_noise is None or self.half_sampling is None or self.half_width is None:
            return f"{many}error not known".strip()
        unit = f" {self.unit}" if self.unit else ""
        split = f"noise {digits(self.half_noise)}, sampling {digits(self.half_sampling)}"
        share = f" ({self.noise_share:.0%} of the variance is noise)" if self._sampled else ""
        return f"{many}± {digits(self.half_width)}{unit} (95 %): {split}{share}"

    @property
    def _sampled(self) -> bool:
        return bool(self.half_sampling)


def preview(
    analysis: Analysis,
    cohort: str,
    dictionary: Dictionary,
    *,
    epsilon: str = "",
    target_error: str = "",
    delta: Fraction,
    nodes: int,
    margin: int,
    memberships: int = 1,
    assumed_members: int | None = None,
    members_from: str = "",
) -> Preview:
    """Preview a question on `nodes` nodes of which `margin` may drop or collude.

    Asked with `epsilon`, or with the least epsilon whose half-width is at most `target_error`.
    `assumed_members` is a noised total or the researcher's guess (`members_from` says which);
    where the error depends on it and none is given, 1,000 is assumed, and the preview says so.
    Raises BadInput and Refused for everything that would be refused before spending, for a
    target that no epsilon reaches, and for a plan that is absurd for so few members.
    """
    asked = normalise(analysis, dictionary)
    text = canonical_text(parse_cohort(cohort, dictionary))
    if assumed_members is not None and assumed_members < 1:
        raise BadInput("assumed members are at least 1")
    if bool(epsilon) == bool(target_error):
        raise BadInput("say either epsilon or a target error", where="epsilon")
    setting = Setting(delta, nodes, margin, memberships)
    size = assumed_members or (ASSUMED_MEMBERS if asked.by_size else None)
    target = parse_target(target_error) if target_error else None
    if target is not None:
        epsilon = epsilon_for(asked, dictionary, target, setting, size)
    law = setting.law(asked, dictionary, epsilon)
    expected = expected_error(asked, dictionary, law, size)
    refuse_absurd(asked, dictionary, expected, assumed_members)
    made = _priced(asked, text, dictionary, setting, epsilon, expected)
    return replace(
        made,
        target_error=target,
        members=assumed_members,
        members_from=members_from,
        groups=groups(asked, dictionary),
        coarser=coarser(asked, dictionary, law, size, expected),
        notes=(
            *_notes(expected, made.cells, assumed_members),
            *_spared(asked, dictionary, setting, made),
            *(asked.advice(dictionary, size, float(epsilon)) if size else ()),
        ),
    )


def _priced(
    asked: Analysis,
    cohort: str,
    dictionary: Dictionary,
    setting: Setting,
    epsilon: str,
    expected: Expected | None,
) -> Preview:
    """What it costs and how far off it may be."""
    law = setting.law(asked, dictionary, epsilon)
    rounds = setting.rounds(asked, dictionary, epsilon)
    rho = Rho.total(each.rho for each in rounds)
    known = expected is not None and math.isfinite(expected.half_width)
    return Preview(
        sentence=sentence(asked, cohort),
        cohort=cohort,
        epsilon=epsilon,
        rho=rho.text,
        epsilon_charged=epsilon_of_rho(rho, setting.delta),
        delta=float(setting.delta),
        memberships=setting.memberships,
        nodes=setting.nodes,
        margin=setting.margin,
        noise_sd_grid=law.sd_grid,
        delta_grid=law.mechanism.delta_grid,
        cells=len(cells(asked, dictionary)),
        unit=expected.unit if expected else "",
        half_noise=expected.half_noise if expected and known else None,
        half_sampling=expected.half_sampling if expected and known else None,
        assumption=expected.assumption if expected else "",
        figure=expected.figure if expected else "",
        rounds=len(rounds),
    )


def _spared(
    asked: Analysis, dictionary: Dictionary, setting: Setting, made: Preview
) -> tuple[str, ...]:
    """What an earlier release paid already."""
    reused = reused_by(asked)
    if reused is None:
        return ()
    paid = sum(asked.shares(dictionary))
    whole = Rho(Rho.parse(made.rho).units * (paid + asked.spared(dictionary)) // paid)
    less = epsilon_of_rho(whole, setting.delta) - made.epsilon_charged
    return (
        f"already answered: the covariates, by release {reused.release[:12]}; "
        f"this costs epsilon {less:.2g} less than asking for them again",
    )


def _notes(expected: Expected | None, number: int, members: int | None) -> tuple[str, ...]:
    if expected is None:
        return ("the error depends on the cohort's size: say how many members you assume",)
    if not math.isfinite(expected.half_width):
        return ("with so few members the interval will be the whole range: no information",)
    if expected.unit == "members":
        return _cell_notes(expected, number, members)
    if expected.half_sampling > 0 and expected.noise_share > NOISY:
        return (f"noise is {expected.noise_share:.0%} of the variance: ask with more epsilon",)
    return ()


def _cell_notes(expected: Expected, number: int, members: int | None) -> tuple[str, ...]:
    if members is None or expected.half_width <= members / number:
        return ()
    return (
        f"noise is larger than a cell of {digits(members / number)} members, the average here: "
        "ask with more epsilon or with fewer cells",
    )
