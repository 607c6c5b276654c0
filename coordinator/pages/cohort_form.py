"""The cohort of the planner: rows of conditions and a text, kept in step.

Whichever of the two was changed since the page was made counts, and the other follows: the form
carries the text that it was made of as `shown`. Of both changed, the text counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.cohort.builder import (
    ALONE,
    ORDERED,
    Condition,
    Sign,
    Written,
    cohort_of,
    conditions_of,
    text_of,
)
from pages.forms import Form
from pages.languages import N_
from privacy.contract.dictionary import ColumnRef, ColumnType, Dictionary
from privacy.errors import BadInput

MOST_ROWS = 12
WORDS: dict[Sign, str] = {
    Sign.IS: N_("is"),
    Sign.IS_NOT: N_("is not"),
    Sign.ONE_OF: N_("is one of"),
    Sign.NONE_OF: N_("is none of"),
    Sign.LESS: N_("is less than"),
    Sign.AT_MOST: N_("is at most"),
    Sign.MORE: N_("is more than"),
    Sign.AT_LEAST: N_("is at least"),
    Sign.BETWEEN: N_("is between"),
    Sign.KNOWN: N_("is known"),
    Sign.MISSING: N_("is not known"),
}
_CODE = "="  # of a row, instead of a column: its value is text of the grammar


@dataclass(frozen=True)
class Row:
    """A row of the form, with what may be chosen in it."""

    number: int
    condition: Condition | Written | None = None
    ref: ColumnRef | None = None
    wrong: str = ""

    @property
    def column(self) -> str:
        return self.condition.column if isinstance(self.condition, Condition) else ""

    @property
    def text(self) -> str:
        """Of a condition that no row can hold."""
        return self.condition.text if isinstance(self.condition, Written) else ""

    @property
    def sign(self) -> str:
        return self.condition.sign.value if isinstance(self.condition, Condition) else ""

    @property
    def values(self) -> tuple[str, ...]:
        return self.condition.values if isinstance(self.condition, Condition) else ()

    @property
    def levels(self) -> tuple[str, ...]:
        if self.ref is None:
            return ()
        boolean = self.ref.column.type is ColumnType.BOOLEAN
        return self.ref.column.levels or (("true", "false") if boolean else ())

    @property
    def signs(self) -> list[tuple[str, str]]:
        """Comparisons that suit the column."""
        left_out = ORDERED if self.levels else ()
        return [(sign.value, words) for sign, words in WORDS.items() if sign not in left_out]

    @property
    def wants_value(self) -> bool:
        return self.sign not in ALONE

    @property
    def several(self) -> bool:
        return self.sign in (Sign.ONE_OF, Sign.NONE_OF)

    @property
    def hint(self) -> str:
        """What is declared of the column's values."""
        if self.ref is None or self.levels:
            return ""
        said = self.ref.column
        bounds = f"{said.lower} – {said.upper} {said.unit}".strip() if said.lower else ""
        shape = "2024-12-31" if said.type is ColumnType.DATE else bounds
        return f"{shape}: 18 and 65" if self.sign == Sign.BETWEEN and bounds else shape


@dataclass(frozen=True)
class Cohort:
    """The rows of the form with an empty one after them, and the text in step with them."""

    rows: tuple[Row, ...]
    text: str
    form: Form
    rewritten: bool = False  # the text is another one than was sent

    def redrawn(self, changed: str) -> bool:
        """Whether the rows look otherwise than in the page in which the field `changed` was."""
        if changed.startswith("var-") or changed == "where" or self.form.wrong("rows"):
            return True
        row = next((row for row in self.rows if changed == f"op-{row.number}"), None)
        had_value = row is not None and f"val-{row.number}" in self.form.fields
        return row is not None and (bool(row.levels) or row.wants_value != had_value)


def in_step(form: Form, dictionary: Dictionary, changed: str = "") -> Cohort:
    """What the form says of the cohort; `changed` is the field that was just changed, where known.

    What is wrong stands in the form, of a row beside its value.
    """
    text = " ".join(form.value("where").split())
    shown = " ".join(form.value("shown").split())
    if text != shown or not any(name.startswith("var-") for name in form.fields):
        return _of_text(form, text, dictionary)
    return _of_rows(form, text, dictionary, changed)


def _of_text(form: Form, text: str, dictionary: Dictionary) -> Cohort:
    try:
        found = conditions_of(text, dictionary)
    except BadInput as wrong:
        return Cohort((Row(0),), text, form.with_wrong("where", str(wrong)))
    rows = [Row(n, each, _ref(each, dictionary)) for n, each in enumerate(found)]
    return Cohort(_with_blank(rows), text, form.with_value("where", text))


def _of_rows(form: Form, text: str, dictionary: Dictionary, changed: str) -> Cohort:
    rows: list[Row] = []
    whole: list[Condition | Written] = []
    for each in _typed(form, changed):
        number = len(rows)
        try:
            ref = _ref(each, dictionary)
            if isinstance(each, Condition) and not each.finished:
                wrong = "" if changed.startswith(("var-", "op-")) else N_("Choose a value.")
                rows.append(Row(number, each, ref, wrong))
                continue
            text_of(each, dictionary)
            whole.append(each)
            rows.append(Row(number, each, ref))
        except BadInput as wrong:
            rows.append(Row(number, each, _known(each, dictionary), str(wrong)))
    if any(row.wrong for row in rows):
        told = form.with_wrong("rows", N_("Something in the conditions has to change."))
        return Cohort(_with_blank(rows), text, told)
    made = cohort_of(whole, dictionary)
    return Cohort(_with_blank(rows), made, form.with_value("where", made), made != text)


def _typed(form: Form, changed: str) -> list[Condition | Written]:
    """The rows that say anything; of a column that was just changed, without the old value."""
    found: list[Condition | Written] = []
    for number in range(MOST_ROWS):
        column = form.value(f"var-{number}")
        if column == _CODE:
            if text := form.value(f"val-{number}"):
                found.append(Written(text))
        elif column:
            values = () if changed == f"var-{number}" else form.values(f"val-{number}")
            found.append(Condition(column, _sign(form.value(f"op-{number}")), values))
    return found


def _sign(text: str) -> Sign:
    return next((sign for sign in Sign if sign.value == text), Sign.IS)


def _ref(each: Condition | Written, dictionary: Dictionary) -> ColumnRef | None:
    return dictionary.resolve(each.column) if isinstance(each, Condition) else None


def _known(each: Condition | Written, dictionary: Dictionary) -> ColumnRef | None:
    return dictionary.refs.get(each.column) if isinstance(each, Condition) else None


def _with_blank(rows: list[Row]) -> tuple[Row, ...]:
    return (*rows, *(Row(n) for n in range(len(rows), min(len(rows) + 1, MOST_ROWS))))
