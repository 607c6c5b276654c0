"""A fitted regression as statisticians read it: a table of coefficients with both errors.

`z` and `p` are of the whole error, sampling and privacy noise together: `p` is two-sided, under a
normal law, of a coefficient that is 0.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from models.regression.cox import RATIO
from models.regression.reading import BY_MEMBER, BY_ROW, COEFFICIENT, FACT
from models.result import NO_INFORMATION, Estimate, Result

if TYPE_CHECKING:
    import pandas as pd

    from coordinator.client import result

KINDS = ("glm", "cox", "progression")
COLUMNS = ("coef", "se_sampling", "se_noise", "se", "z", "p", "low", "high", "noise_share")
WIDTH = 96
_HEADS = ("", "coef", "sampling", "privacy", "total", "z", "p", "from", "to", "noise")
_OVER = {4: "standard error", 8: "95 % interval"}  # above the columns that end with this one
_RATIO_HEADS, _RATIO_OVER = ("", RATIO, "from", "to"), {3: "95 % interval"}
_LEAST_P = 1e-4
_DIGITS = 2  # of a standard error that are printed
_GAP = "  "
_SHORT = 16  # characters of a digest


def coefficients(answer: Result) -> pd.DataFrame:
    """COLUMNS by term; nan where there is no information. Raises AttributeError."""
    if answer.kind not in KINDS:
        raise AttributeError(
            f"an answer of {answer.kind!r} has no coefficients: use .table; {', '.join(KINDS)} do"
        )
    import pandas as pd

    rows = _figure(answer, COEFFICIENT)
    index = pd.Index([row.cell[1] for row in rows], name="term")
    return pd.DataFrame([_numbers(row) for row in rows], index=index, columns=list(COLUMNS))


def z_and_p(row: Estimate) -> tuple[float, float]:
    """The coefficient as measured, the middle of its interval, over its whole error; and how
    likely one so large is where it is 0."""
    if row.note == NO_INFORMATION or row.se <= 0:
        return math.nan, math.nan
    z = row.middle / row.se
    return z, math.erfc(abs(z) / math.sqrt(2))


def _numbers(row: Estimate) -> tuple[float, ...]:
    if row.note == NO_INFORMATION:
        return (math.nan,) * len(COLUMNS)
    errors = row.se_sampling, row.se_noise, row.se
    return (row.estimate, *errors, *z_and_p(row), row.low, row.high, row.noise_share)


def _figure(answer: Result, name: str) -> list[Estimate]:
    return [row for row in answer.rows if row.cell[0] == name]


def summary(fit: result.Result) -> str:
    """What was fitted and how, the coefficients, and what to bear in mind."""
    rows = _table(_HEADS, _OVER, [_line(row) for row in _figure(fit.answer, COEFFICIENT)])
    ratios = [_ratio(row) for row in _figure(fit.answer, RATIO)]
    width = max(len(rows[1]), WIDTH)
    notes = [f"{fit.asked.sentence}.", *_facts(fit.answer), *fit.answer.notes]
    said, *noted = (textwrap.wrap(each, width, break_on_hyphens=False) for each in notes)
    parts = [
        "MADE-UP MEMBERS" if fit.mock else "",
        *said,
        "=" * width,
        *_header(fit, width),
        "=" * width,
        *(*rows[:2], "-" * width, *rows[2:]),
        *(["-" * width, *_table(_RATIO_HEADS, _RATIO_OVER, ratios)] if ratios else []),
        "=" * width,
        *(line for note in noted for line in note),
    ]
    return "\n".join(part for part in parts if part)


def _header(fit: result.Result, width: int) -> list[str]:
    asked = fit.asked.analysis
    members = _facts_named(fit.answer, "members")
    price = f"{fit.epsilon:.4g}, delta = {float(fit.delta):.3g}"
    pairs = [
        ("model", _model(fit)),
        ("nodes", f"{fit.noise.survivors:,}"),
        ("members", f"{_interval(members)}, noised" if members else "unknown"),
        ("epsilon", f"{price} (stored answer, at no cost)" if fit.repeat else price),
        ("rounds", f"{fit.rounds}"),
        ("receipts", _receipts(fit)),
    ]
    half = width // 2
    lines = [
        f"{_pair(*left):<{half}}{_pair(*right)}".rstrip()
        for left, right in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    formula = _long("formula", str(asked.get("formula", "")), width)
    return [*formula, *lines, *_way(fit, width), *_errors(fit, width)]


def _errors(fit: result.Result, width: int) -> list[str]:
    """Which error of sampling it is, where a member has several rows."""
    kinds = {BY_MEMBER: "clustered by member", BY_ROW: "a member's rows taken for independent"}
    found = [said for note, said in kinds.items() if note in fit.answer.notes]
    return [line for said in found for line in _long("errors", said, width)]


def _model(fit: result.Result) -> str:
    match fit.answer.kind:
        case "glm":
            return f"{str(fit.asked.analysis['family']).replace('_', ' ')} regression"
        case "cox":
            return "proportional hazards"
        case _:
            return "linear model of slopes"


def _receipts(fit: result.Result) -> str:
    if not fit.receipts:
        return "none, asked in this process"
    return f"{len(fit.receipts):,}, release {fit.release[:_SHORT]}"


def _way(fit: result.Result, width: int) -> list[str]:
    """How it was fitted, and why so where the question is at hand."""
    way = str(fit.asked.analysis.get("way", ""))
    why = "" if fit.question is None else fit.question.why or f"{way}, as it was written"
    return _long("way", why or way, width)


def _pair(name: str, said: str) -> str:
    return f"{name + ':':<11}{said}"


def _long(name: str, said: str, width: int) -> list[str]:
    """One pair over as many lines as it needs."""
    return textwrap.wrap(
        _pair(name, said), width, subsequent_indent=" " * 11, break_on_hyphens=False
    )


def _line(row: Estimate) -> tuple[str, ...]:
    if row.note == NO_INFORMATION:
        return (row.cell[1], NO_INFORMATION, *[""] * (len(_HEADS) - 2))
    digits = _decimals(row.se)
    z, p = z_and_p(row)
    errors = (_fixed(each, digits) for each in (row.estimate, row.se_sampling, row.se_noise))
    return (
        *(row.cell[1], *errors, _fixed(row.se, digits)),
        *(f"{z:z.2f}", f"<{_LEAST_P:.4f}" if p < _LEAST_P else f"{p:.4f}"),
        *(_fixed(row.low, digits), _fixed(row.high, digits), f"{row.noise_share:.0%}"),
    )


def _ratio(row: Estimate) -> tuple[str, ...]:
    if row.note == NO_INFORMATION:
        return row.cell[1], NO_INFORMATION, "", ""
    return (row.cell[1], *(f"{each:.4g}" for each in (row.estimate, row.low, row.high)))


def _decimals(se: float) -> int:
    """Decimals that show `_DIGITS` digits of an error."""
    return max(0, min(8, _DIGITS - 1 - math.floor(math.log10(se)))) if se > 0 else 4


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.4g}" if abs(value) >= 1e9 else f"{value:z,.{decimals}f}"


def _table(
    heads: Sequence[str], over: Mapping[int, str], rows: Sequence[Sequence[str]]
) -> list[str]:
    """Two lines of heads, then the rows: names on the left, numbers on the right of columns."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    above = ""
    for last, head in over.items():
        above += head.rjust(sum(widths[: last + 1]) + len(_GAP) * last - len(above))
    lines = [
        _GAP.join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in (heads, *rows)
    ]
    return [above, *lines]


def _facts_named(answer: Result, name: str) -> Estimate | None:
    return next((row for row in _figure(answer, FACT) if row.cell[1] == name), None)


def _facts(answer: Result) -> list[str]:
    """What else was estimated, besides the members of the header."""
    rows = [row for row in _figure(answer, FACT) if row.cell[1] != "members"]
    return [f"{row.cell[1].capitalize()}: {_interval(row)}." for row in rows]


def _interval(row: Estimate) -> str:
    if row.note == NO_INFORMATION:
        return NO_INFORMATION
    form = "z,.0f" if row.cell[1] == "members" else ".4g"
    return f"{row.estimate:{form}} ({row.low:{form}} to {row.high:{form}})"
