"""A column by its name or a figure by its text: what an analysis may be asked of."""

from __future__ import annotations

import re

from models.figures.parse import KINDS, parse_figure
from privacy.contract.dictionary import ColumnRef, Dictionary
from privacy.errors import BadInput

_FIGURE = re.compile(rf"\s*(?:{'|'.join(KINDS)})\s*\(", re.IGNORECASE)


def column_named(dictionary: Dictionary, name: str) -> ColumnRef:
    """`column`, `table.column`, or a figure such as `last(visits.score)`.

    A declared name goes before a figure that is written the same. Raises BadInput for what is
    neither, and as `Dictionary.resolve` and `parse_figure` do.
    """
    declared = any(name in (full, ref.column.name) for full, ref in dictionary.refs.items())
    if declared or _FIGURE.match(name) is None:
        return dictionary.resolve(name)
    try:
        return parse_figure(name, dictionary)
    except BadInput as error:
        where = error.where.replace("cohort", name, 1)
        raise BadInput(error.what, where=where, instead=error.instead) from None
