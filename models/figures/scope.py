"""What a name stands for: a column of a member, of the rows of one table, or a table itself."""

from __future__ import annotations

from difflib import get_close_matches

from models.cohort.text import name_text, table_text
from models.cohort.tokens import Token, refuse
from models.figures.types import RowColumn
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary, Rows, Table
from privacy.errors import BadInput

WINDOW_WORDS = ("before", "until", "since", "after", "within", "from", "up")
AFTER_ROWS = (*WINDOW_WORDS, "on", "needing")


def declared(dictionary: Dictionary, token: Token) -> ColumnRef:
    """A column that may be asked about; raises BadInput with the place."""
    try:
        column = dictionary.resolve(token.text)
    except BadInput as error:
        raise refuse(error.what, token.position, error.instead) from None
    return _checked(column, token)


def _checked(column: ColumnRef, token: Token) -> ColumnRef:
    if column.column.type is ColumnType.TEXT:
        raise refuse(
            f"{column.name} is free text", token.position, "use a column with declared levels"
        )
    return column


def of_many_rows(dictionary: Dictionary, token: Token) -> ColumnRef:
    """A column of a table with many rows per member."""
    column = declared(dictionary, token)
    if not column.many:
        raise refuse(
            f"{column.name} is one value per member",
            token.position,
            f"compare it as it is: {name_text(column)}",
        )
    return column


def row_column(table: Table, token: Token) -> RowColumn:
    """A column of `table`, named with or without it."""
    own = {column.name: column for column in table.columns}
    found = own.get(token.text) or own.get(token.text.removeprefix(f"{table.name}."))
    if found is None:
        raise refuse(
            f"{table.name} has no column {token.text!r}",
            token.position,
            _nearest(token.text, [name for name, each in own.items() if not each.identifier]),
        )
    if found.identifier:
        raise refuse(
            f"{token.text!r} is an identifier", token.position, "use a column that is none"
        )
    _checked(ColumnRef(table, found), token)
    return RowColumn(table, found)


def many_table(dictionary: Dictionary, token: Token) -> Table:
    """A table with many rows per member, by its name."""
    tables = {table.name: table for table in dictionary.tables}
    found = tables.get(token.text)
    if found is not None and found.rows is Rows.MANY:
        return found
    if found is not None:
        raise refuse(
            f"{found.name} has one row per member",
            token.position,
            "compare its columns as they are",
        )
    for full, ref in dictionary.refs.items():
        if token.text in (full, ref.column.name) and ref.many:
            table = table_text(ref.table)
            raise refuse(
                f"{token.text!r} is a column, and rows are those of a table",
                token.position,
                f"write the table first: {table}: {ref.column.name} …",
            )
    many = [table.name for table in dictionary.tables if table.rows is Rows.MANY]
    raise refuse(f"no table {token.text!r} is declared", token.position, _nearest(token.text, many))


def _nearest(name: str, known: list[str]) -> str:
    if name.lower() in AFTER_ROWS:
        return f"leave out the colon before {name!r} where no condition follows"
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "declared: " + ", ".join(known[:20])
