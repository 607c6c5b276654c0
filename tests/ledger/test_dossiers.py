"""Dossiers: what they say is the bundle's, their pages need no trust, their papers do not vary."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from coordinator.api import dossiers
from coordinator.api.verifying import Checked
from coordinator.audit.dossier.document import Document, Section, Table, Words
from coordinator.audit.dossier.guarantee import BASELINES, guarantee
from coordinator.audit.dossier.material import Material, gather
from coordinator.audit.dossier.node import node_document
from coordinator.audit.dossier.page import html, policy
from coordinator.audit.dossier.paper import pdf
from coordinator.audit.dossier.registry import registry_record
from coordinator.audit.dossier.study import study_document
from coordinator.audit.verify import verified
from coordinator.audit.whole import whole_folder
from coordinator.cli.researcher import app
from privacy.errors import BadInput
from privacy.ledger.entry import Aborted, Approval
from privacy.odds import odds_of_rho
from privacy.units import Rho
from tests.support.bundle_factory import DELTA, NODES, Network
from tests.support.ledger_factory import BY, reservation
from tests.support.ledger_factory import policy as policy_entry

NASTY = "<script>alert(1)</script> \\ #[x] $y$ *z* \"q\" & 'p'"
TEMPLATES = files("coordinator.audit.dossier") / "templates"


def told(folder: Path) -> Path:
    """Two answers, a question that ended without one, a changed policy, hostile texts."""
    network = Network(study_changes={"title": NASTY, "summary": NASTY, "permit": "EC 2026/1"})
    network.ask("0.5")
    envelope, plan = network._plan("0.1")
    for ledger in network.ledgers.values():
        ledger.append(reservation(envelope.digest, plan, NASTY))
        ledger.append(Aborted(plan=envelope.digest, code="node_offline"))
    network.ask("0.25")
    network.tick(86400)
    lower = Rho(network.study.rho.units // 2)
    network.ledgers[NODES[0]].append(policy_entry(lower, min_cohort=7))
    given = next(e.body for e in network.ledgers[NODES[0]].entries if isinstance(e.body, Approval))
    taken = given.model_copy(update={"decision": "withdrawn", "reason": NASTY})
    network.ledgers[NODES[0]].append(taken)
    network.witness("coordinator", NODES[0])
    return network.write(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return told(tmp_path_factory.mktemp("told") / "bundle")


@pytest.fixture(scope="module")
def material(bundle: Path) -> Material:
    return gather(verified(bundle))


@pytest.fixture(scope="module")
def documents(material: Material) -> list[Document]:
    return [study_document(material, "als-progression"), node_document(material, NODES[0])]


def tables(document: Document, caption: str) -> list[Table]:
    blocks = [block for section in document.sections for block in section.blocks]
    return [b for b in blocks if isinstance(b, Table) and b.caption.startswith(caption)]


# what they say


def test_a_study_lists_every_answer_with_cost_and_receipts(documents: list[Document]) -> None:
    (answered,) = tables(documents[0], "Every release")
    assert [row[3] for row in answered.rows] == ["0.5", "0.25"]
    receipts = str(answered.rows[0][4])
    assert receipts == "; ".join(f"{node}: 7" for node in sorted(NODES))
    (others,) = tables(documents[0], "Questions without a release")
    assert [(row[1], row[3], row[4]) for row in others.rows] == [(NASTY, "node_offline", "0")]


def test_a_study_lists_the_columns_and_methods_that_were_asked_for(
    documents: list[Document],
) -> None:
    (named,) = tables(documents[0], "Columns that questions named")
    assert named.rows == (("members.treatment", "3"),)
    (methods,) = tables(documents[0], "Methods asked for")
    assert methods.rows == (("count", "3"),)


def test_decisions_stand_with_their_reasons(documents: list[Document]) -> None:
    (study,) = tables(documents[0], "Decisions over time")
    assert [row[1:5] for row in study.rows] == [
        (node, "approved, epsilon at most 5", BY, "") for node in sorted(NODES)
    ] + [(NODES[0], "withdrawn", BY, NASTY)]
    (node,) = tables(documents[1], "Decisions about studies")
    assert [row[2] for row in node.rows] == ["approved, epsilon at most 5", "withdrawn"]


def test_an_organisation_shows_its_limits_and_what_changed_them(documents: list[Document]) -> None:
    (changed,) = tables(documents[1], "What later policies changed")
    said = {row[3]: row[4] for row in changed.rows}
    assert str(said["smallest cohort"]).endswith("noised total of 7, or the answer is withheld")
    assert str(said["in a year"]).startswith("epsilon 5 -> ")
    (budget,) = tables(documents[1], "The period's budget")
    assert budget.rows[0][0] == "this period"


def test_every_heading_of_the_five_safes_is_there(documents: list[Document]) -> None:
    for document in documents:
        titles = [section.title for section in document.sections]
        for safe in ("projects", "people", "settings", "data", "outputs"):
            assert sum(title.startswith(f"Safe {safe}") for title in titles) == 1
        assert titles[-2:] == [
            "What was verified and what was not",
            "Checklist after NIST SP 800-226",
        ]


def test_what_was_not_verified_is_said(bundle: Path, material: Material) -> None:
    page = html(node_document(material, NODES[0]))
    assert "key was taken from the bundle itself" in page
    assert "No second recomputation" in page
    key = material.found.context.bundle.coordinator
    from coordinator.audit.verify import Pinned

    pinned = gather(verified(bundle, pinned=Pinned(key)))
    assert "key was taken from" not in html(node_document(pinned, NODES[0]))


def test_odds_are_those_of_the_loss(material: Material) -> None:
    rho = Rho(2**56)
    (table,) = [b for b in guarantee((("x", rho),), DELTA, 1).blocks if isinstance(b, Table)]
    for cell, baseline in zip(table.rows[0][2:], BASELINES, strict=True):
        shown = float(str(cell).removesuffix(" %")) / 100
        most = odds_of_rho(rho, DELTA, baseline).most
        assert most <= shown + 1e-9 < most + 1e-4


def test_a_dossier_is_made_once_for_one_copy(material: Material, documents: list[Document]) -> None:
    checked = Checked(material.found, material.found.report.made_at)
    names = ("study-als-progression", f"node-{NODES[0]}")
    made = [dossiers.document(checked, name) for name in names]
    assert made == documents
    again = [dossiers.document(checked, name) for name in names]
    assert all(one is other for one, other in zip(made, again, strict=True))
    assert dossiers.document(checked, f"node-{NODES[1]}") != made[1]


def test_what_a_shortened_table_leaves_out_is_counted(documents: list[Document]) -> None:
    for document in documents:
        whole, short = (_rows(document.to_json(rows)) for rows in (None, 1))
        assert [left for _, left in whole] == [0] * len(whole)
        for (rows, _), (kept, left_out) in zip(whole, short, strict=True):
            assert rows[left_out:] == kept
            assert len(kept) == min(len(rows), 1)
        assert any(left_out for _, left_out in short)


def _rows(value: dict[str, Any]) -> list[tuple[list[Any], int]]:
    blocks = [block for section in value["sections"] for block in section["blocks"]]
    return [(each["rows"], each["left_out"]) for each in blocks if each["kind"] == "table"]


# pages


class Page(HTMLParser):
    """Every start tag with its attributes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, name: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.tags if tag == name]


def test_pages_work_under_the_strictest_policy(documents: list[Document]) -> None:
    for document in documents:
        text = html(document)
        page = Page(text)
        assert not page.all("script")
        assert "<script" not in text
        for tag, attrs in page.tags:
            assert not {name for name in attrs if name.startswith("on") or name == "style"}, tag
            for name in ("href", "src", "action"):
                assert attrs.get(name, "#").startswith("#"), (tag, attrs)
        (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
        assert "url(" not in style
        assert "@import" not in style
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        said = [meta for meta in page.all("meta") if "http-equiv" in meta]
        assert said[0]["content"] == policy()
        assert f"'sha256-{digest}'" in policy()


def test_pages_can_be_read_by_everybody(documents: list[Document]) -> None:
    for document in documents:
        page = Page(html(document))
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("title")) == len(page.all("h1")) == 1
        headings = [tag for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
        assert set(headings) == {"h1", "h2"}
        assert headings[0] == "h1"
        assert len(page.all("table")) == len(page.all("caption")) > 5
        assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
        for svg in page.all("svg"):
            assert svg["role"] == "img"
            assert len(svg["aria-label"]) > 20
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        assert {attrs["href"][1:] for attrs in page.all("a")} <= set(ids)


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    whole = "".join(2 * each for each in digits) if len(digits) == 3 else digits
    parts = [int(whole[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_keep_their_contrast_in_light_dark_and_print() -> None:
    style = (TEMPLATES / "dossier.css").read_text("utf-8")
    schemes = re.findall(r":root \{([^}]*--ink[^}]*)\}", style)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]+)", scheme))
        for name in ("ink", "faint", "link"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, name
        for name in ("bar", "over"):
            assert contrast(colours[name], colours["paper"]) >= 3, name


# papers


def test_a_paper_is_the_same_every_time_and_tagged(documents: list[Document]) -> None:
    for document in documents:
        data = pdf(document)
        assert data == pdf(document)
        assert data.startswith(b"%PDF-")
        assert b"pdfuaid:part" in data or b"pdfuaid" in data
        assert b"CreationDate" not in data


def test_texts_of_others_are_text_on_paper_too() -> None:
    hostile = Document("x", NASTY, ((NASTY, NASTY),), (Section("a", NASTY, (Words(NASTY),)),))
    assert pdf(hostile).startswith(b"%PDF-")


def test_without_typst_one_line_says_what_to_do(
    documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(BadInput, match="not installed") as caught:
        pdf(documents[0])
    assert "--no-pdf" in caught.value.instead


def test_a_paper_does_not_depend_on_where_it_is_made(
    documents: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = pdf(documents[0])
    monkeypatch.chdir(tmp_path)
    assert pdf(documents[0]) == here


def test_the_commands_load_nothing_that_only_a_dossier_needs() -> None:
    heavy = "{'typst', 'jinja2', 'dp_accounting', 'scipy', 'fastapi'}"
    code = f"import sys, coordinator.cli.researcher; print(sorted({heavy} & set(sys.modules)))"
    line = [sys.executable, "-c", code]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


# the registry's form


def schema() -> Any:
    return json.loads((TEMPLATES / "registry.schema.json").read_text("utf-8"))


def test_a_record_has_the_registrys_form_and_the_bundles_figures(material: Material) -> None:
    record = registry_record(material, "als-progression")
    jsonschema.validate(record, schema())
    loss = record["deployment"]["privacy_loss"]["privacy_parameters"]
    spent = material.found.report.nodes[0].studies["als-progression"]
    assert loss == {
        "epsilon": spent.epsilon,
        "delta": 1e-6,
        "rho": float(spent.rho.fraction),
    }
    assert record["deployment"]["administrative"]["status"] == "Draft"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("url_slug",), "Not A Slug"),
        (("deployment", "basic", "data_product_type"), "guesswork"),
        (("deployment", "dp_variant", "variant_name"), "zCDP"),
        (("deployment", "privacy_loss", "privacy_parameters", "epsilon"), "1"),
        (("deployment", "administrative", "tier"), 4),
        (("deployment", "surprise"), "x"),
    ],
)
def test_a_record_of_another_form_is_refused(
    material: Material, path: tuple[str, ...], value: Any
) -> None:
    record = registry_record(material, "als-progression")
    inner: Any = record
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, schema())


# the folder


def cairn(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), env={"NO_COLOR": "1"}, catch_exceptions=False)


def test_the_command_writes_every_dossier_and_an_index(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "dossiers"
    done = cairn("audit", "report", str(bundle), "--out", str(out), "--no-pdf")
    assert done.exit_code == 0, done.stderr
    names = {path.name for path in out.iterdir()}
    nodes = {f"node-{node}.html" for node in NODES}
    study = {"study-als-progression.html", "registry-als-progression.json"}
    assert names == {"index.html"} | nodes | study
    index = Page((out / "index.html").read_text("utf-8"))
    assert {attrs["href"] for attrs in index.all("a")} == names - {"index.html"}
    assert cairn("audit", "report", str(bundle), "--out", str(out)).exit_code == 2
    one = tmp_path / "one"
    assert (
        cairn("audit", "report", str(bundle), "--out", str(one), "--node", NODES[1]).exit_code == 0
    )
    assert {path.name for path in one.iterdir()} == {
        "index.html",
        f"node-{NODES[1]}.html",
        f"node-{NODES[1]}.pdf",
    }
    for wrong in ("--study", "--node"):
        line = ("audit", "report", str(bundle), "--out", str(tmp_path / "x"), wrong, "nowhere")
        assert cairn(*line).exit_code == 2


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        with whole_folder(folder) as work:
            (work / "half").write_text("half")
            raise BadInput("no")

    out = tmp_path / "out"
    with pytest.raises(BadInput):
        fails(out)
    assert list(tmp_path.iterdir()) == []
    out.mkdir()
    with whole_folder(out) as work:
        (work / "whole").write_text("x")
    assert [path.name for path in out.iterdir()] == ["whole"]
    with pytest.raises(BadInput):
        whole_folder(out).__enter__()
