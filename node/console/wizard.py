"""A spreadsheet becomes the node's data: upload, map, see what is wrong, and only then import."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import Request, Response

from node.console.data import begin
from node.console.imports import Work
from node.console.uploads import Upload, staged_folder
from node.console.visit import Visit, go
from node.import_problems import Problem, problems_of
from node.import_progress import Told
from node.layout import is_coded
from node.spreadsheet.mapping import (
    LEFT_OUT,
    TableMapping,
    consent_titles,
    fields_of,
    matched,
    spellings,
    unmapped,
    write_files,
)
from node.spreadsheet.reading import MAX_BYTES, Sheet, read_sheets
from node.steward import Steward
from pages.forms import Form
from pages.languages import N_
from privacy.contract.dictionary import Table
from privacy.errors import BadInput

_SAMPLE = 5
_NO_TABLE = N_(
    "No sheet has the names of the dictionary's columns in one line, the members' key among them. "
    "Choose a sheet above, or mend the names and take the file again."
)


async def uploaded(request: Request) -> tuple[Form, str, bytes]:
    """The form of an upload with its file; raises BadInput for none or too large a one."""
    async with request.form(max_files=1, max_fields=4, max_part_size=MAX_BYTES) as said:
        token = said.get("token", "")
        form = Form({"token": (token if isinstance(token, str) else "",)})
        file = said.get("file")
        if file is None or isinstance(file, str) or not file.filename:
            return form.with_wrong("file", N_("Choose a file.")), "", b""
        return form, file.filename, await file.read(MAX_BYTES + 1)


def take(visit: Visit, file: str, body: bytes) -> Response:
    """Read an uploaded file and propose what it is."""
    visit.changing()
    form = visit.form
    if not file:
        return visit.page("sheet.html", 422, form=form)
    try:
        sheets = read_sheets(file, body)
    except BadInput as wrong:
        return visit.page("sheet.html", 422, form=form.with_wrong("file", str(wrong)))
    visit.kept.uploads.keep(visit.session, file, sheets, visit.parts.service.dictionary())
    return go("/console/data/sheet/map")


def show(visit: Visit) -> Response:
    """Where a file is chosen."""
    return visit.page("sheet.html")


def mapping(visit: Visit) -> Response:
    """What the sheets are taken for, and what is wrong with them."""
    return _page(visit, visit.kept.uploads.of(visit.session))


def remap(visit: Visit) -> Response:
    """Take the sheets for what the form says; import them if that was asked."""
    steward, form = visit.changing(), visit.form
    if form.value("do") == "drop":
        visit.kept.uploads.drop(visit.session)
        return go("/console/data")
    upload = visit.kept.uploads.of(visit.session)
    tables = visit.parts.service.dictionary().tables
    mappings = tuple(
        _said(form, table, known, upload.sheets)
        for table, known in zip(tables, upload.mappings, strict=True)
    )
    upload = visit.kept.uploads.remap(visit.session, mappings)
    if form.value("do") == "suggest":
        upload = visit.kept.uploads.remap(visit.session, _as_suggested(visit, upload))
    if form.value("do") != "import":
        return _page(visit, upload)
    try:
        return begin(visit, upload.file, "/console/data/sheet/map", _work(visit, steward, upload))
    except BadInput as wrong:
        return _page(visit, upload, 422, form=form.with_trouble(str(wrong)))


def _work(visit: Visit, steward: Steward, upload: Upload) -> Work:
    """Import an upload; it is forgotten once it is in the records."""
    dictionary, session = visit.parts.service.dictionary(), visit.session

    def work(told: Told) -> dict[str, Any]:
        with staged_folder(visit.parts.home.root) as folder:
            write_files(dictionary, upload.sheets, upload.mappings, folder)
            report = steward.import_data(folder, told)
        visit.kept.uploads.drop(session)
        return report

    return work


def _as_suggested(visit: Visit, upload: Upload) -> tuple[TableMapping, ...]:
    """Every word that is no level taken for the level that it is most like."""
    tables = visit.parts.service.dictionary().tables
    pairs = zip(tables, upload.mappings, strict=True)
    return tuple(_suggested(table, known, upload.sheets) for table, known in pairs)


def _suggested(table: Table, known: TableMapping, sheets: dict[str, Sheet]) -> TableMapping:
    if not known.sheet:
        return known
    words = {name: dict(said) for name, said in known.words.items()}
    for term in unmapped(table, known, sheets[known.sheet]):
        if term.suggested:
            words.setdefault(term.column, {})[term.word] = term.suggested
    return replace(known, words=words)


def _said(form: Form, table: Table, known: TableMapping, sheets: dict[str, Sheet]) -> TableMapping:
    """A table's mapping as the form has it; another sheet is matched anew."""
    sheet = form.value(f"sheet:{table.name}", known.sheet)
    if sheet != known.sheet:
        return matched(table, sheets.get(sheet))
    if not sheet:
        return known
    titles = sheets[sheet].header
    columns = {
        name: wanted if (wanted := form.value(f"column:{table.name}:{name}")) in titles else ""
        for name in fields_of(table)
    }
    words = {name: dict(said) for name, said in known.words.items()}
    levels = {column.name: {*column.levels, LEFT_OUT} for column in table.columns}
    for term in unmapped(table, known, sheets[sheet]):
        said = form.value(f"word:{table.name}:{term.column}:{term.word}")
        if said in levels[term.column]:
            words.setdefault(term.column, {})[term.word] = said
    spelled = {name for name in columns if form.value(f"spelled:{table.name}:{name}") == "yes"}
    return TableMapping(table.name, sheet, columns, words, frozenset(spelled))


def _page(visit: Visit, upload: Upload, status: int = 200, **more: Any) -> Response:
    dictionary = visit.parts.service.dictionary()
    problems, unreadable = _problems(visit, upload)
    tables = [
        _shown(table, said, upload)
        for table, said in zip(dictionary.tables, upload.mappings, strict=True)
    ]
    return visit.page(
        "mapping.html",
        status,
        upload=upload,
        tables=tables,
        problems=problems,
        unreadable=unreadable,
        left_out=LEFT_OUT,
        suggestions=sum(bool(term.suggested) for each in tables for term in each["terms"]),
        **more,
    )


def _problems(visit: Visit, upload: Upload) -> tuple[tuple[Problem, ...], str]:
    """What the importer would say of every row, and what it says of the files as a whole."""
    dictionary = visit.parts.service.dictionary()
    if not any(said.sheet for said in upload.mappings):
        return (), _NO_TABLE
    with staged_folder(visit.parts.home.root) as folder:
        write_files(dictionary, upload.sheets, upload.mappings, folder)
        try:
            found = problems_of(visit.parts.records, dictionary, folder)
            if not found:
                visit.steward.check_data(folder)
        except BadInput as wrong:
            return (), str(wrong)
        return _in_sheets(found, upload), ""


def _in_sheets(found: tuple[Problem, ...], upload: Upload) -> tuple[Problem, ...]:
    """The same problems, where whoever made the spreadsheet finds them."""
    said = {f"{each.table}.csv": each for each in upload.mappings}
    return tuple(
        replace(
            each,
            file=said[each.file].sheet,
            row=upload.sheets[said[each.file].sheet].line(each.row),
            column=said[each.file].columns.get(each.column) or each.column,
        )
        for each in found
    )


def _shown(table: Table, said: TableMapping, upload: Upload) -> dict[str, Any]:
    sheet = upload.sheets.get(said.sheet)
    coded = {column.name: column.levels for column in table.columns if is_coded(column)}
    return {
        "table": table,
        "said": said,
        "fields": fields_of(table),
        "titles": sheet.header if sheet else (),
        "terms": unmapped(table, said, sheet) if sheet else (),
        "spellings": spellings(table, said, sheet) if sheet else (),
        "consent": consent_titles(sheet) if sheet else (),
        "levels": coded,
        "sample": sheet.rows[:_SAMPLE] if sheet else (),
        "rows": len(sheet.rows) if sheet else 0,
    }
