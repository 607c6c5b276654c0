"""dictionary.toml: what the columns of an organisation's files mean, read into a Dictionary.

Every error is one line with file, table, column, the rule, and what to write instead.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Context, Decimal
from difflib import get_close_matches
from itertools import pairwise

from models.toml_entry import Entry, decimal_text, is_integer, parse_toml
from privacy.contract.dictionary import Column, ColumnType, Dictionary, Rows, Table

MAX_ROWS_PER_MEMBER = 1_000_000
MAX_BINS = 10_000
EPOCH = date(1970, 1, 1)

_TABLE_KEYS = ("key", "rows", "max_rows_per_member", "time", "columns")
_TABLE_SYNONYMS = {"member": "key", "id": "key", "max_rows": "max_rows_per_member"}
_COLUMN_KEYS = (
    "type",
    "levels",
    "lower",
    "upper",
    "bins",
    "unit",
    "missing",
    "identifier",
    "label",
)
_COLUMN_SYNONYMS = {
    "min": "lower",
    "minimum": "lower",
    "max": "upper",
    "maximum": "upper",
    "values": "levels",
    "categories": "levels",
    "edges": "bins",
    "breaks": "bins",
    "description": "label",
    "title": "label",
    "na": "missing",
}
_TYPES = {
    ColumnType.CATEGORICAL: ("categorical", "category", "factor", "enum"),
    ColumnType.BOOLEAN: ("boolean", "bool"),
    ColumnType.INTEGER: ("integer", "int"),
    ColumnType.NUMBER: ("number", "float", "real", "numeric", "double", "decimal"),
    ColumnType.DATE: ("date", "datetime", "timestamp"),
    ColumnType.TEXT: ("text", "string", "str", "varchar"),
}
_TYPE_OF = {name: kind for kind, names in _TYPES.items() for name in names}
_NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
_TABLE_NAME = re.compile(r"[^\W\d][\w-]{0,63}")
_MISSING: tuple[str, ...] = Column.model_fields["missing"].default
_EDGE_DIGITS = Context(prec=15)


def load_dictionary(toml_text: str, where: str) -> Dictionary:
    """Read the text of a dictionary; `where` is the file's name for messages.

    Raises BadInput for the first thing that is wrong.
    """
    file = parse_toml(toml_text, where)
    file.allow(("tables",), {"table": "tables"})
    entries = file.inner("tables", "table")
    if not entries:
        raise file.fail("no table is declared", "write [tables.members]")
    _check_names(file, entries)
    dictionary = Dictionary(tables=tuple(_table(name, e) for name, e in entries.items()))
    _check_no_column_is_a_full_name(file, dictionary)
    return dictionary


def _check_names(entry: Entry, names: dict[str, Entry]) -> None:
    """Two names that differ only in case cannot both be columns of a database."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise entry.fail(f"{other!r} and {name!r} differ only in case", "rename one")


def _check_no_column_is_a_full_name(file: Entry, dictionary: Dictionary) -> None:
    for ref in dictionary.refs.values():
        if ref.column.name in dictionary.refs:
            raise file.fail(f"column {ref.column.name!r} reads like another's full name", "rename")


def _table(name: str, entry: Entry) -> Table:
    if not _TABLE_NAME.fullmatch(name):
        raise entry.fail("a table's name is letters, digits, _ and -", "rename table and file")
    entry.allow(_TABLE_KEYS, _TABLE_SYNONYMS)
    key = entry.text("key")
    if not key.strip():
        raise entry.fail("key is empty", "write the name of the member column")
    rows = _rows(entry)
    time = entry.text("time") if entry.has("time") else None
    columns = entry.inner("columns", "column")
    _check_names(entry, columns)
    table = Table(
        name=name,
        key=key,
        rows=rows,
        max_rows_per_member=_max_rows(entry, rows),
        time=time,
        columns=tuple(_column(each, columns[each], is_key=each == key) for each in columns),
    )
    _check_time(entry, table)
    return table


def _rows(entry: Entry) -> Rows:
    text = entry.text("rows")
    if text not in ("one", "many"):
        raise entry.fail(f"rows = {text!r} is neither", 'write rows = "one" or rows = "many"')
    return Rows(text)


def _max_rows(entry: Entry, rows: Rows) -> int:
    key = "max_rows_per_member"
    if not entry.has(key):
        if rows is Rows.ONE:
            return 1
        raise entry.fail(f'rows = "many" needs {key}', f"write {key} = 20")
    highest = 1 if rows is Rows.ONE else MAX_ROWS_PER_MEMBER
    return entry.integer(key, 1, highest)


def _check_time(entry: Entry, table: Table) -> None:
    if table.time is None:
        return
    if table.time == table.key:
        raise entry.fail("time names the member column", "name the column that orders the rows")
    allowed = (ColumnType.DATE, *_NUMERIC)
    for column in table.columns:
        if column.name == table.time and column.type not in allowed:
            raise entry.fail(f"time = {table.time!r} is {column.type.value}", "use a date column")


def _column(name: str, entry: Entry, *, is_key: bool) -> Column:
    if not name.isprintable() or "`" in name or name != name.strip() or not 0 < len(name) <= 128:
        raise entry.fail("the name is empty, too long or has signs that cannot be quoted", "rename")
    entry.allow(_COLUMN_KEYS, _COLUMN_SYNONYMS)
    kind = _type(entry)
    missing = entry.words("missing") if entry.has("missing") else _MISSING
    lower, upper, bins = _range(entry, kind)
    column = Column(
        name=name,
        type=kind,
        levels=_levels(entry, kind),
        lower=lower,
        upper=upper,
        bins=bins,
        unit=entry.text("unit", ""),
        missing=missing,
        identifier=entry.flag("identifier") or is_key,
        label=entry.text("label", ""),
    )
    _check_missing(entry, column)
    return column


def _type(entry: Entry) -> ColumnType:
    if not entry.has("type"):
        return _type_unwritten(entry)
    written = entry.text("type").strip().lower()
    if written not in _TYPE_OF:
        close = get_close_matches(written, _TYPE_OF, n=1)
        known = ", ".join(kind.value for kind in ColumnType)
        hint = f"did you mean {_TYPE_OF[close[0]].value}?" if close else f"write one of {known}"
        raise entry.fail(f"type {written!r} is unknown", hint)
    kind = _TYPE_OF[written]
    coded = kind in (ColumnType.TEXT, *_NUMERIC) and entry.has("levels")
    return ColumnType.CATEGORICAL if coded else kind


def _type_unwritten(entry: Entry) -> ColumnType:
    if entry.has("levels"):
        written = entry.values["levels"]
        boolean = isinstance(written, list) and all(isinstance(item, bool) for item in written)
        return ColumnType.BOOLEAN if boolean and written else ColumnType.CATEGORICAL
    if any(entry.has(key) for key in ("lower", "upper", "bins")):
        return ColumnType.NUMBER
    if entry.flag("identifier"):
        return ColumnType.TEXT
    raise entry.fail("type is missing", 'write type = "categorical" with levels, "number", …')


def _levels(entry: Entry, kind: ColumnType) -> tuple[str, ...]:
    if kind is ColumnType.BOOLEAN:
        if entry.has("levels") and set(entry.words("levels")) != {"false", "true"}:
            raise entry.fail("a boolean has the levels false and true", "leave levels out")
        return ("false", "true")
    if kind is not ColumnType.CATEGORICAL:
        if entry.has("levels"):
            raise entry.fail(f"a {kind.value} has no levels", 'write type = "categorical"')
        return ()
    if not entry.has("levels") or not entry.words("levels"):
        raise entry.fail("a categorical column declares its levels", 'write levels = ["a", "b"]')
    return _checked_levels(entry, entry.words("levels"))


def _checked_levels(entry: Entry, levels: tuple[str, ...]) -> tuple[str, ...]:
    seen: set[str] = set()
    for level in levels:
        if level != level.strip() or not level or not level.isprintable():
            raise entry.fail(f"level {level!r} is empty or has odd spaces", "write it plainly")
        if level in seen:
            raise entry.fail(f"level {level!r} stands twice", "write it once")
        seen.add(level)
    return levels


def _check_missing(entry: Entry, column: Column) -> None:
    both = [level for level in column.levels if level in column.missing]
    if both:
        raise entry.fail(
            f"{both[0]!r} is a level and stands for missing",
            'leave it out of levels, or write missing = [""]',
        )


_Range = tuple[str | None, str | None, tuple[str, ...]]


def _range(entry: Entry, kind: ColumnType) -> _Range:
    """(lower, upper, bins) as decimal text."""
    written = [key for key in ("lower", "upper", "bins") if entry.has(key)]
    if written and kind not in (*_NUMERIC, ColumnType.DATE):
        raise entry.fail(f"a {kind.value} column has no {written[0]}", "leave it out")
    if kind is ColumnType.DATE:
        return _date_range(entry)
    lower = _bound(entry, "lower", kind)
    upper = _bound(entry, "upper", kind)
    edges = _edges(entry, lower, upper)
    if edges:
        lower = edges[0] if lower is None else lower
        upper = edges[-1] if upper is None else upper
    _check_range(entry, lower, upper, edges)
    return _text(lower), _text(upper), tuple(map(decimal_text, edges))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _bound(entry: Entry, key: str, kind: ColumnType) -> Decimal | None:
    if not entry.has(key):
        return None
    value = entry.decimal(key)
    if kind is ColumnType.INTEGER and value != value.to_integral_value():
        raise entry.fail(f"{key} of an integer is a whole number", f"write {key} = {int(value)}")
    return value


def _check_range(
    entry: Entry, lower: Decimal | None, upper: Decimal | None, edges: tuple[Decimal, ...]
) -> None:
    if (lower is None) != (upper is None):
        absent = "lower" if lower is None else "upper"
        raise entry.fail(f"{absent} is missing", "write both lower and upper")
    if lower is None or upper is None:
        return
    if not float(lower) < float(upper):
        raise entry.fail("lower is not below upper", "write the smaller number as lower")
    if edges and not (lower <= edges[0] and edges[-1] <= upper):
        raise entry.fail("a bin lies outside lower and upper", "widen the bounds")


def _edges(entry: Entry, lower: Decimal | None, upper: Decimal | None) -> tuple[Decimal, ...]:
    if not entry.has("bins"):
        return ()
    written = entry.values["bins"]
    if is_integer(written):
        return _equal_bins(entry, entry.integer("bins", 1, MAX_BINS), lower, upper)
    if not isinstance(written, list) or not 2 <= len(written) <= MAX_BINS + 1:
        raise entry.fail("bins is a list of at least two edges", "write bins = [0, 10, 20]")
    edges = tuple(entry.as_decimal("bins", edge) for edge in written)
    if not all(float(low) < float(high) for low, high in pairwise(edges)):
        raise entry.fail("bins do not ascend", "write the edges from low to high")
    return edges


def _equal_bins(
    entry: Entry, count: int, lower: Decimal | None, upper: Decimal | None
) -> tuple[Decimal, ...]:
    if lower is None or upper is None or not lower < upper:
        raise entry.fail(f"bins = {count} needs lower and upper", "write both, or list the edges")
    width = upper - lower
    inner = (lower + _EDGE_DIGITS.divide(width * i, Decimal(count)) for i in range(1, count))
    return (lower, *inner, upper)


def _date_range(entry: Entry) -> _Range:
    """Bounds of a date are counted in days since 1970-01-01."""
    if entry.has("bins"):
        raise entry.fail("a date column has no bins", "leave it out")
    if not (entry.has("lower") or entry.has("upper")):
        return None, None, ()
    days = {key: _days(entry, key) for key in ("lower", "upper") if entry.has(key)}
    lower, upper = days.get("lower"), days.get("upper")
    _check_range(entry, lower, upper, ())
    return _text(lower), _text(upper), ()


def _days(entry: Entry, key: str) -> Decimal:
    value = entry.values[key]
    try:
        parsed = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        parsed = None
    if isinstance(parsed, datetime):
        parsed = parsed.date()
    if not isinstance(parsed, date):
        raise entry.fail(f"{key} of a date is a date", f"write {key} = 2024-12-31")
    return Decimal((parsed - EPOCH).days)
