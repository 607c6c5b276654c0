"""A spreadsheet becomes an organisation's data: read, mapped, mended, and only then imported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pandas as pd
import pytest
from openpyxl import Workbook
from playwright.sync_api import Browser

from models.dictionary_file import load_dictionary
from node.api import create_app
from node.spreadsheet import reading
from node.spreadsheet.mapping import LEFT_OUT, matched, plain, propose, unmapped, write_files
from node.spreadsheet.reading import Sheet, read_sheets
from node.spreadsheet.spelling import respelled
from privacy.contract.dictionary import ColumnType
from privacy.errors import BadInput
from tests.support import net_data
from tests.support.browser import NARROW, browser, reader
from tests.support.fake_executor import serve
from tests.support.network import Network, Shape, make_network

NODE = "als-union"
DICTIONARY = load_dictionary(net_data.DICTIONARY, "dictionary.toml")


def workbook(**sheets: list[list[object]]) -> bytes:
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        made = book.create_sheet(name)
        for row in rows:
            made.append(row)
    packed = BytesIO()
    book.save(packed)
    return packed.getvalue()


def test_a_workbook_is_read_as_text() -> None:
    when = datetime(2024, 3, 1, 13, 30)  # noqa: DTZ001 - cells have no zone
    rows: list[list[object]] = [
        [None, None, None],
        ["Member ID", "", "Age", "seen", "on", "well"],
        ["m1", "x", 51.0, date(2024, 2, 29), when, True],
        [None, None, None],
        ["m2", "y", 0.5],
    ]
    [sheet] = read_sheets("C:\\data\\people.xlsx", workbook(people=rows))
    assert sheet.header == ("Member ID", "Age", "seen", "on", "well")
    assert sheet.rows == (
        ("m1", "51", "2024-02-29", "2024-03-01T13:30:00", "true"),
        ("m2", "0.5", "", "", ""),
    )


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "cp1252"])
def test_text_files_of_any_spreadsheet_are_read(sign: str, code: str) -> None:
    body = f'id{sign}"why{sign} so"\n1{sign}é\n'.encode(code)
    [sheet] = read_sheets("people.csv", body)
    assert sheet == Sheet("people", ("id", f"why{sign} so"), (("1", "é"),))


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("people.xls", b"", "save it as .xlsx"),
        ("people.xlsx", b"not a workbook", "no Excel workbook"),
        ("people.xlsx", workbook(empty=[]), "no sheet has a header"),
        ("people.csv", b"", "no sheet has a header"),
        ("people.csv", b"a,a\n1,2\n", "stands twice"),
        ("../../etc/passwd", b"", "passwd: no spreadsheet"),
    ],
    ids=["former", "no-workbook", "empty-workbook", "empty-text", "twice", "no-suffix"],
)
def test_what_is_no_spreadsheet_is_told(name: str, body: bytes, words: str) -> None:
    with pytest.raises(BadInput) as wrong:
        read_sheets(name, body)
    assert words in str(wrong.value)


def test_a_small_file_that_unpacks_large_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as made:
        made.writestr("xl/workbook.xml", b"0" * 10_000_000)
    monkeypatch.setattr(reading, "MAX_UNPACKED", 9_000_000)
    with pytest.raises(BadInput, match="unpacks to more"):
        read_sheets("people.xlsx", packed.getvalue())


def test_sheets_and_columns_are_found_by_name(tmp_path: Path) -> None:
    members = Sheet(
        "Members",
        ("Patient ID", "AGE", "Condition", "notes", "Consent"),
        (("m1", "40", "ALS", "-", "yes"), ("m2", "41", "flu", "-", "no")),
    )
    other = Sheet("Sheet2", ("x", "y"), (("1", "2"),))
    mappings = propose((other, members), DICTIONARY)
    people, table = mappings[0], DICTIONARY.tables[0]
    assert people.sheet == "Members"
    assert people.columns["member"] == "Patient ID"
    assert people.columns["age"] == "AGE"
    assert people.words["condition"] == {"ALS": "als"}
    assert [(t.column, t.word, t.count) for t in unmapped(table, people, members)] == [
        ("condition", "flu", 1)
    ]
    assert mappings[1].sheet == ""
    words = {**people.words, "condition": {"ALS": "als", "flu": LEFT_OUT}}
    said = people.__class__(people.table, people.sheet, people.columns, words)
    write_files(DICTIONARY, {"Members": members}, [said, *mappings[1:]], tmp_path)
    written = pd.read_csv(tmp_path / "members.csv", dtype=str, keep_default_na=False)
    assert list(written["member"]) == ["m1", "m2"]
    assert list(written["condition"]) == ["als", ""]
    assert list(written["consent"]) == ["yes", "no"]
    assert (tmp_path / f"{mappings[1].table}.csv").read_text().count("\n") == 1


def test_names_are_compared_as_people_write_them() -> None:
    assert plain(" ALSFRS-R (total) ") == "alsfrs_r_total"
    assert matched(DICTIONARY.tables[0], None).sheet == ""


def test_titles_stand_above_the_header_and_rows_keep_their_numbers() -> None:
    rows: list[list[object]] = [
        ["Members of the forum, March"],
        [],
        ["member", "age"],
        ["m1", 50],
        [None, None],
        ["m2", 51],
    ]
    [sheet] = read_sheets("people.xlsx", workbook(people=rows))
    assert sheet.header == ("member", "age")
    assert [sheet.line(row) for row in (1, 2)] == [4, 6]
    [alone] = read_sheets("people.csv", b"member\nm1\n")
    assert alone == Sheet("people", ("member",), (("m1",),))


@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        (ColumnType.NUMBER, "0,5", "0.5"),
        (ColumnType.NUMBER, "-1.234,50", "-1234.50"),
        (ColumnType.NUMBER, "1234,5", "1234.5"),
        (ColumnType.NUMBER, "1,2,3", "1,2,3"),
        (ColumnType.NUMBER, "1.23,4", "1.23,4"),
        (ColumnType.NUMBER, "0.5", "0.5"),
        (ColumnType.INTEGER, "0,5", "0,5"),
        (ColumnType.DATE, "1.2.2024", "2024-02-01"),
        (ColumnType.DATE, "31.12.2024", "2024-12-31"),
        (ColumnType.DATE, "12/31/2024", "12/31/2024"),
        (ColumnType.TEXT, "0,5", "0,5"),
    ],
)
def test_numbers_and_days_of_other_languages(kind: ColumnType, written: str, read: str) -> None:
    column = DICTIONARY.tables[0].columns[0]
    assert respelled(column.model_copy(update={"type": kind}), written) == read


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    made = make_network(tmp_path_factory.mktemp("sheets"), Shape())
    yield made
    made.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.mark.processes
@pytest.mark.parametrize("scripts", [True, False])
def test_a_spreadsheet_becomes_a_nodes_data(
    network: Network, chromium: Browser, tmp_path: Path, scripts: bool
) -> None:
    node = network.nodes[NODE]
    people = network.shape.people(NODE).rename(columns={"member": "Patient ID", "age": "Age"})
    people = people.astype({"condition": object})
    people.loc[people.index[0], "condition"] = "Motor neurone disease"
    people.loc[people.index[1], "Age"] = None
    people.loc[people.index[2], "condition"] = "ALS (bulbar)"
    file = tmp_path / "people.xlsx"
    with pd.ExcelWriter(file) as book:
        people.to_excel(book, sheet_name="People", index=False)
        network.shape.rows(NODE).to_excel(book, sheet_name="symptoms", index=False)
    before = node.parts.records.members
    app = create_app(node.parts, lambda: True)
    with serve(app) as url, reader(chromium, url, width=NARROW, scripts=scripts) as seen:
        page = seen.go(_link(app, node))
        page.click("button:has-text('Open the console')")
        page = seen.go("/console/data/sheet")
        page.click("text=Look at it")
        assert "Choose a file" in page.inner_text("#e-file")
        page.set_input_files("#f-file", file)
        page.click("text=Look at it")
        assert "Motor neurone disease" in page.inner_text("main")
        assert page.locator("button[value=import]").count() == 0
        assert "is an unknown level" in page.inner_text("main")
        if scripts:
            assert seen.complaints() == []
            seen.keep("console-mapping-390")
        assert "als (suggested)" in page.get_by_label("ALS (bulbar)").inner_text()
        page.click("button[value=suggest]")
        assert page.get_by_label("ALS (bulbar)").count() == 0
        page.get_by_label("Motor neurone disease").select_option("als")
        page.click("button[value=check]")
        assert "Every row can be read" in page.inner_text("[role=status]")
        assert node.parts.records.members == before
        page.click("button[value=import]")
        page.wait_for_selector("#state [role=status]")
        assert f"{len(people)} members" in page.inner_text("[role=status]")
        assert seen.troubles == []
    assert node.parts.records.members == len(people)
    assert not list(node.home.root.glob("import-*"))


@pytest.mark.processes
def test_a_spreadsheet_of_another_language_is_read_once_somebody_says_so(
    network: Network, chromium: Browser, tmp_path: Path
) -> None:
    node = network.nodes[NODE]
    people = network.shape.people(NODE).astype({"score": object})
    people["score"] = [f"{at},5" for at in range(len(people))]
    people["born"] = [f"{1 + at % 28}.3.1950" for at in range(len(people))]
    people.loc[people.index[3], "member"] = people["member"].iloc[0]
    file = tmp_path / "people.xlsx"
    with pd.ExcelWriter(file) as book:
        people.to_excel(book, sheet_name="Mitglieder", index=False, startrow=2)
        book.sheets["Mitglieder"]["A1"] = "Members of the forum, March"
        network.shape.rows(NODE).to_excel(book, sheet_name="symptoms", index=False)
    app = create_app(node.parts, lambda: True)
    with serve(app) as url, reader(chromium, url, scripts=False) as seen:
        page = seen.go(_link(app, node))
        page.click("button:has-text('Open the console')")
        page = seen.go("/console/data/sheet")
        page.set_input_files("#f-file", file)
        page.click("text=Look at it")
        assert "Consent is read from: consent" in page.inner_text("main")
        assert "is no number" in page.inner_text("main")
        page.get_by_label("score: read 0,5 as 0.5").check()
        page.get_by_label("born: read 1.3.1950 as 1950-03-01").check()
        page.click("button[value=check]")
        assert page.get_by_label("score: read 0,5 as 0.5").is_checked()
        [problem] = page.get_by_role("region", name="Problems").locator("tbody tr").all()
        assert problem.inner_text().split("\t")[:3] == ["Mitglieder", "7", "member"]


@pytest.mark.processes
def test_a_spreadsheet_without_the_dictionarys_names_imports_nothing(
    network: Network, chromium: Browser, tmp_path: Path
) -> None:
    node = network.nodes[NODE]
    file = tmp_path / "other.csv"
    file.write_text("who,what\n1,2\n")
    app = create_app(node.parts, lambda: True)
    with serve(app) as url, reader(chromium, url, scripts=False) as seen:
        page = seen.go(_link(app, node))
        page.click("button:has-text('Open the console')")
        page = seen.go("/console/data/sheet")
        page.set_input_files("#f-file", file)
        page.click("text=Look at it")
        assert "No sheet has the names of the dictionary's columns" in page.inner_text("main")
        assert page.locator("button[value=import]").count() == 0


def _link(app: object, node: object) -> str:
    """As `cairn-node console` asks for it, over the socket's side of the API."""
    from fastapi.testclient import TestClient

    token = node.parts.home.steward_token()  # type: ignore[attr-defined]
    client = TestClient(app, base_url="http://node")  # type: ignore[arg-type]
    said = client.post(
        "/v1/console", json={"by": "ada"}, headers={"Authorization": f"Bearer {token}"}
    )
    return str(said.json()["path"])
