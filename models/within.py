"""A study's limits on every question: its cohort, and the columns that may be named.

A question is read against `declared`, the part of the dictionary that the study names, so what
it does not name does not exist for a question; the study's cohort is met by every member who
is counted, whatever the question's own cohort says.
"""

from __future__ import annotations

from models.cohort.expression import Everyone, Expression
from models.cohort.normal import conjunction
from models.cohort.parse import parse_cohort
from models.cohort.text import canonical_text
from privacy.contract.dictionary import Dictionary
from privacy.contract.study import WHOLE_TABLE, Study
from privacy.errors import BadInput


def declared(study: Study, dictionary: Dictionary) -> Dictionary:
    """The dictionary with the study's variables alone; tables without any are left out.

    A table's key, order and number of rows stay: they are not values of a member's.
    """
    if not study.variables:
        return dictionary
    kept = []
    for table in dictionary.tables:
        columns = tuple(c for c in table.columns if study.names(f"{table.name}.{c.name}"))
        if columns:
            kept.append(table.model_copy(update={"columns": columns}))
    return Dictionary(tables=tuple(kept))


def cohort_within(study: Study, cohort: str, variables: Dictionary) -> Expression:
    """Members of the study's cohort for whom `cohort` holds too.

    Each text is read on its own, so no bracket in one can reach into the other. Applying it
    twice gives the same tree. `variables` is `declared(study, …)`. Raises BadInput.
    """
    parts = [parse_cohort(text, variables) for text in (study.cohort, cohort)]
    narrowing = [part for part in parts if not isinstance(part, Everyone)]
    if len(narrowing) < 2:
        return narrowing[0] if narrowing else Everyone()
    both = conjunction(narrowing)
    return parse_cohort(canonical_text(both), variables)  # the limits on length and size hold


def check_study(study: Study, dictionary: Dictionary) -> Study:
    """The study with its cohort in canonical form, if it fits the dictionary.

    Raises BadInput naming a variable that is not declared or an identifier, and for a cohort
    that is no cohort or names a column that is none of the variables.
    """
    for name in study.variables:
        _check_variable(name, dictionary)
    try:
        text = canonical_text(parse_cohort(study.cohort, declared(study, dictionary)))
    except BadInput as error:
        place = ", ".join(part for part in ("cohort", error.where) if part)
        raise BadInput(error.what, where=place, instead=error.instead) from None
    return Study.from_json({**study.to_json(), "cohort": text})


def _check_variable(name: str, dictionary: Dictionary) -> None:
    table, _, column = name.partition(".")
    if "." + column == WHOLE_TABLE:
        if table not in {each.name for each in dictionary.tables}:
            raise BadInput(f"no table {table!r} is declared", where="variables")
        return
    try:
        found = dictionary.resolve(name)
    except BadInput as error:
        raise BadInput(error.what, where="variables", instead=error.instead) from None
    if found.name != name:
        raise BadInput(f"{name!r} has no table", where="variables", instead=f"write {found.name!r}")
