"""Figures of a member's rows, written from a call's arguments."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.client.errors import BadInput

SLOPE_DAYS = 30  # from the first to the last row, unless written
SUMMARIES = ("mean", "min", "max", "first", "last", "sum", "slope", "count", "share")


@dataclass(frozen=True)
class Rows:
    """Which rows a figure looks at, as the grammar of figures writes them."""

    where: str = ""
    window: str = ""
    needing: tuple[int, ...] = ()  # rows, and for a slope days

    def text(self, *conditions: str) -> str:
        """What stands after the column or table."""
        held = " and ".join(f"({each})" for each in (*conditions, self.where) if each.strip())
        parts = (f": {held}" if held else "", self.window, self._needing())
        return " ".join(part.strip() if part.startswith(":") else part for part in parts if part)

    def _needing(self) -> str:
        if not self.needing:
            return ""
        rows, *days = self.needing
        return f"needing {rows} rows" + (f" over {days[0]} days" if days else "")


def figure_of(
    column: str, summary: str, rows: Rows, low: str | None = None, high: str | None = None
) -> str:
    """The figure's text; `column` itself where it is a figure already. Raises BadInput."""
    if not all(isinstance(each, str) for each in (column, summary, rows.where, rows.window)):
        raise BadInput("column, summary, where and window are text", where="column")
    if "(" in column:
        return _written(column, summary, rows, low, high)
    if summary not in SUMMARIES:
        raise BadInput(
            f"no summary {summary!r}", where="summary", instead="write " + ", ".join(SUMMARIES)
        )
    if summary != "share" and (low, high) != (None, None):
        raise BadInput("low and high belong to a share", where="low", instead="summary='share'")
    match summary:
        case "share":
            return _figure(summary, column + _range(low, high), rows.text())
        case "count":
            table, dot, name = column.rpartition(".")
            known = (f"{name} is not missing",) if dot else ()
            return _figure(summary, table or column, rows.text(*known))
        case "slope" if len(rows.needing) == 1:
            longer = Rows(rows.where, rows.window, (*rows.needing, SLOPE_DAYS))
            return _figure(summary, column, longer.text())
        case _:
            return _figure(summary, column, rows.text())


def needed(needing: object) -> tuple[int, ...]:
    """The fewest rows, and for a slope the fewest days; () for None. Raises BadInput."""
    given = needing if isinstance(needing, list | tuple) else (needing,)
    if given == (None,):
        return ()
    if not 1 <= len(given) <= 2 or any(type(each) is not int for each in given):
        raise BadInput(
            "needing is a number of rows",
            where="needing",
            instead="write needing=3, or for a slope needing=[3, 90]: rows and days",
        )
    return tuple(given)


def _figure(kind: str, head: str, rows: str) -> str:
    return (
        f"{kind}({head}{'' if rows.startswith(':') else ' '}{rows})" if rows else f"{kind}({head})"
    )


def _written(column: str, summary: str, rows: Rows, low: str | None, high: str | None) -> str:
    if (summary, rows, low, high) != ("mean", Rows(), None, None):
        raise BadInput(
            "a figure in full leaves nothing to add",
            where="column",
            instead="write summary, where, window and needing into it",
        )
    return column


def _range(low: str | None, high: str | None) -> str:
    match low, high:
        case None, None:
            raise BadInput("a share has a range", where="low", instead="write low=70, high=180")
        case str(), str():
            return f" between {low} and {high}"
        case str(), None:
            return f" >= {low}"
        case _:
            return f" <= {high}"
