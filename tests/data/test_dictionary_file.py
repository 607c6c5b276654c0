"""dictionary.toml is read into exact declarations, or refused in one line with its place."""

from __future__ import annotations

import pytest

from models.dictionary_file import load_dictionary
from privacy.contract.dictionary import Column, ColumnType, Dictionary
from privacy.errors import BadInput

HEAD = '[tables.members]\nkey = "id"\nrows = "one"\n'


def column(body: str, name: str = "x") -> Column:
    text = f"{HEAD}[tables.members.columns.{name}]\n{body}"
    return load_dictionary(text, "dictionary.toml").tables[0].columns[0]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ('type = "category"\nlevels = ["a"]', ColumnType.CATEGORICAL),
        ('type = "string"\nlevels = ["a"]', ColumnType.CATEGORICAL),
        ('type = "int"\nlevels = [1, 2]', ColumnType.CATEGORICAL),
        ('levels = ["a"]', ColumnType.CATEGORICAL),
        ("levels = [true, false]", ColumnType.BOOLEAN),
        ('type = "bool"', ColumnType.BOOLEAN),
        ('type = "Int"', ColumnType.INTEGER),
        ('type = "float"', ColumnType.NUMBER),
        ('type = "real"', ColumnType.NUMBER),
        ('type = "numeric"', ColumnType.NUMBER),
        ('type = "double"', ColumnType.NUMBER),
        ("bins = [0, 1]", ColumnType.NUMBER),
        ('type = "datetime"', ColumnType.DATE),
        ('type = "string"', ColumnType.TEXT),
        ("identifier = true", ColumnType.TEXT),
    ],
)
def test_types_have_the_names_that_people_use(written: str, kind: ColumnType) -> None:
    assert column(written).type is kind


def test_levels_are_text_however_they_are_written() -> None:
    assert column("levels = [1, 2.50, 'x']").levels == ("1", "2.5", "x")
    assert column('type = "boolean"').levels == ("false", "true")


def test_bins_give_bounds_and_numbers_stay_exact() -> None:
    listed = column("bins = [0, 0.1, 1e2]")
    assert (listed.lower, listed.upper, listed.bins) == ("0", "100", ("0", "0.1", "100"))
    equal = column('type = "number"\nlower = -0.5\nupper = 1\nbins = 3')
    assert equal.bins == ("-0.5", "0", "0.5", "1")
    inside = column("lower = 0\nupper = 100\nbins = [18, 40, 65]")
    assert (inside.lower, inside.upper) == ("0", "100")
    assert inside.cell_labels == ("[18, 40)", "[40, 65]")
    assert column("lower = 0\nupper = 1.10").upper == "1.1"


def test_bounds_of_a_date_are_days() -> None:
    dated = column('type = "date"\nlower = 1970-01-02\nupper = "2000-01-01"')
    assert dated.bounds == (1.0, 10957.0)


def test_defaults_and_the_member_column() -> None:
    plain = column('type = "number"\nunit = "kg"\nlabel = "Weight"')
    assert plain.missing == ("", "NA", "?")
    assert (plain.unit, plain.label, plain.identifier) == ("kg", "Weight", False)
    assert column('type = "text"', name="id").identifier
    assert column('type = "number"\nmissing = [-9, ""]').missing == ("-9", "")


def test_what_is_read_survives_its_canonical_form() -> None:
    text = HEAD + "[tables.members.columns]\nx = { bins = [0, 1, 2] }\n'p.q' = { levels = ['é'] }"
    dictionary = load_dictionary(text, "dictionary.toml")
    assert Dictionary.from_json(dictionary.to_json()) == dictionary
    assert dictionary.digest == load_dictionary("\ufeff" + text, "elsewhere").digest


COLUMN = "dictionary.toml, table members, column x"


@pytest.mark.parametrize(
    ("body", "what", "instead"),
    [
        ('type = "numbr"', "type 'numbr' is unknown", "did you mean number?"),
        ('type = "blob"', "type 'blob' is unknown", "write one of categorical"),
        ("unit = 'kg'", "type is missing", 'write type = "categorical"'),
        ("type = 3", "type is text", 'write type = "3"'),
        ('type = "number"\nlowr = 1', "unknown key 'lowr'", "did you mean lower?"),
        ('type = "number"\nmax = 1', "unknown key 'max'", "did you mean upper?"),
        ('type = "number"\nqqq = 1', "unknown key 'qqq'", "known: type"),
        ('type = "categorical"', "declares its levels", "write levels ="),
        ("levels = []", "declares its levels", "write levels ="),
        ('levels = "a"', "levels is a list", "write levels ="),
        ("levels = [[1]]", "levels is a list", "write levels ="),
        ('levels = ["a", "a"]', "'a' stands twice", "once"),
        ('levels = ["a", " b"]', "odd spaces", "plainly"),
        ('levels = ["a", "NA"]', "'NA' is a level and stands for missing", "leave it out"),
        ('type = "date"\nlevels = ["a"]', "a date has no levels", "categorical"),
        ('type = "bool"\nlevels = ["no", "yes"]', "levels false and true", "leave levels out"),
        ('levels = ["a"]\nlower = 1', "has no lower", "leave it out"),
        ("lower = 1", "upper is missing", "both"),
        ("lower = 2\nupper = 1", "lower is not below upper", "smaller"),
        ("lower = 1\nupper = 1", "lower is not below upper", "smaller"),
        ('lower = "1"\nupper = 2', "lower is a finite number", "without quotes"),
        ("lower = -inf\nupper = 2", "lower is a finite number", "without quotes"),
        ("lower = nan\nupper = 2", "lower is a finite number", "without quotes"),
        ("lower = 0\nupper = 1e999", "upper is a finite number", "without quotes"),
        ('type = "integer"\nlower = 0.5\nupper = 2', "a whole number", "write lower = 0"),
        ("bins = [0]", "at least two edges", "write bins ="),
        ("bins = [0, 2, 1]", "bins do not ascend", "low to high"),
        ("bins = [0, 0]", "bins do not ascend", "low to high"),
        ("bins = 4", "bins = 4 needs lower and upper", "both"),
        ("bins = 0\nlower = 0\nupper = 1", "bins is a whole number from 1", "bins = 1"),
        ("lower = 1\nupper = 9\nbins = [0, 5]", "outside lower and upper", "widen"),
        ('type = "date"\nbins = [1, 2]', "a date column has no bins", "leave it out"),
        ('type = "date"\nlower = 1\nupper = 2', "lower of a date is a date", "2024-12-31"),
        ('type = "number"\nidentifier = "yes"', "identifier is true or false", "= true"),
    ],
)
def test_a_column_that_does_not_fit_is_named_with_its_remedy(
    body: str, what: str, instead: str
) -> None:
    with pytest.raises(BadInput) as refused:
        column(body)
    assert what in refused.value.what
    assert instead in refused.value.instead
    assert refused.value.where == COLUMN
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "dictionary.toml", "no table is declared"),
        ("tables = 3", "dictionary.toml", "tables holds tables"),
        ("[table.x]", "dictionary.toml", "unknown key 'table'"),
        ("[tables.x", "dictionary.toml", "not TOML"),
        ('[tables.x]\nrows = "one"', "dictionary.toml, table x", "key is missing"),
        ('[tables.x]\nkey = ""\nrows = "one"', "dictionary.toml, table x", "key is empty"),
        ('[tables.x]\nkey = "id"', "dictionary.toml, table x", "rows is missing"),
        ('[tables.x]\nkey = "id"\nrows = "few"', "dictionary.toml, table x", "'few'"),
        (
            '[tables.x]\nkey = "id"\nrows = "many"',
            "dictionary.toml, table x",
            "needs max_rows_per_member",
        ),
        (
            '[tables.x]\nkey = "id"\nrows = "one"\nmax_rows_per_member = 2',
            "dictionary.toml, table x",
            "whole number from 1 to 1",
        ),
        (
            '[tables.x]\nkey = "id"\nrows = "many"\nmax_rows_per_member = 0',
            "dictionary.toml, table x",
            "whole number from 1",
        ),
        (
            '[tables.x]\nkey = "id"\nrows = "one"\ntime = "t"\ncolumns.t.type = "text"',
            "dictionary.toml, table x",
            "time = 't' is text",
        ),
        ('[tables."../x"]\nkey = "id"\nrows = "one"', "dictionary.toml, table ../x", "letters"),
        (
            f'{HEAD}[tables.members.columns]\nAge.type = "text"\nage.type = "text"',
            "dictionary.toml, table members",
            "differ only in case",
        ),
        (
            f'{HEAD}[tables.members.columns]\n"a`b".type = "text"',
            "dictionary.toml, table members, column a`b",
            "cannot be quoted",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_named(text: str, where: str, what: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_dictionary(text, "dictionary.toml")
    assert refused.value.where == where
    assert what in refused.value.what
