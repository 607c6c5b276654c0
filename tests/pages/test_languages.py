"""Other languages are files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from pages import kit, languages


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de-CH, en;q=0.5", "en"),
        ("nl;q=x", "en"),
        ("nl", "nl"),
        ("NL-be", "nl"),
        ("en;q=0.4, nl;q=0.8", "nl"),
        ("../../etc, nl;q=0.1", "nl"),
    ],
)
def test_the_reader_says_which(monkeypatch: pytest.MonkeyPatch, accept: str, language: str) -> None:
    monkeypatch.setattr(languages, "languages", lambda: ("en", "nl"))
    assert languages.language_of(accept) == language


def test_a_language_is_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    catalog = Catalog(locale="nl", domain="cairn")
    catalog.add("To the contents", "Naar de inhoud")
    catalog.add("Requests", "Verzoeken")
    packed = BytesIO()
    write_mo(packed, catalog)
    folder = tmp_path / "nl" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "cairn.mo").write_bytes(packed.getvalue())
    monkeypatch.setattr(languages, "_LOCALE", tmp_path)
    for kept in (languages.languages, languages.translations, kit._environment):
        kept.cache_clear()
    try:
        assert languages.languages() == ("en", "nl")
        said = kit._environment("coordinator.pages", "nl").get_template("base.html")
        links = [kit.Link("/console/studies", "Requests")]
        page = said.render(language="nl", direction="ltr", links=links)
        assert "Verzoeken" in page
        assert "Naar de inhoud" in page
        assert '<html lang="nl"' in page
    finally:
        for kept in (languages.languages, languages.translations, kit._environment):
            kept.cache_clear()
