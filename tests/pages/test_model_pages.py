"""Models as pages: what the client says of one, its chart, card and files; and the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.client.model import load_model
from coordinator.client.result import Result
from privacy.contract.token import Role
from tests.support.browser import NARROW, WIDE, reader
from tests.support.site import STUDY, Site, open_site

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("models")) as made:
        yield made


@pytest.fixture(scope="module")
def fit(site: Site) -> Result:
    study = site.network().study(STUDY)
    study.mean("severity").run(epsilon=0.3)
    asked = study.glm("severity ~ age + treatment", members=600).run(epsilon=5)
    return study.release(asked.release)


@pytest.mark.parametrize(("width", "dark"), [(NARROW, False), (WIDE, True)])
def test_a_model_is_shown_as_the_client_has_it(
    site: Site, fit: Result, width: int, dark: bool
) -> None:
    with reader(
        site.browser, site.url, site.cookie(Role.RESEARCHER), width=width, dark=dark
    ) as seen:
        page = seen.go("/models")
        page.click("main .cards a")
        assert page.url.endswith(f"{fit.release}/model")
        assert seen.complaints() == []
        assert seen.overflow() == 0
        terms = page.locator("table").first.locator("tbody th").all_inner_texts()
        assert terms == list(fit.coefficients.index)
        assert page.locator("figure svg[role=img]").count() == 1
        assert "Nobody has tried yet" in page.inner_text("main")
        seen.keep(f"model-{width}-{dark}")
        assert seen.troubles == []


def test_its_files_are_those_that_the_client_writes(
    site: Site, fit: Result, tmp_path: Path
) -> None:
    fit.save(tmp_path / "own.safetensors")
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER), scripts=False) as seen:
        page = seen.go(f"/studies/{STUDY}/releases/{fit.release}")
        page.click("text=As a model")
        for kind in ("safetensors", "json", "md"):
            with page.expect_download() as download:
                page.click(f"a[href$='model.{kind}']")
            download.value.save_as(tmp_path / f"file.{kind}")
    for kind in ("safetensors", "json"):
        assert (tmp_path / f"file.{kind}").read_bytes() == (tmp_path / f"own.{kind}").read_bytes()
    assert (tmp_path / "file.md").read_text() == fit.card()
    assert load_model(tmp_path / "file.safetensors").files() == fit.model().files()


def test_an_answer_that_is_no_model_says_so(site: Site, fit: Result) -> None:
    del fit  # it was asked before the mean is looked for
    (mean,) = site.network().releases(kind="mean")
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER)) as seen:
        page = seen.go(f"/studies/{STUDY}/releases/{mean.digest}/model")
        assert "no model to download" in page.inner_text("main")
        assert seen.complaints() == []
        assert "bad_request" in seen.go(page.url.removeprefix(site.url) + ".md").inner_text("main")


@pytest.mark.parametrize(
    ("query", "found"),
    [("text=SEVERITY+mean", 1), ("kind=glm", 1), ("text=zebra", 0), (f"study={STUDY}", 2)],
)
def test_the_library_is_searched(site: Site, fit: Result, query: str, found: int) -> None:
    del fit
    with reader(site.browser, site.url, site.cookie(Role.AUDITOR), scripts=False) as seen:
        page = seen.go(f"/releases?{query}")
        assert page.locator("tbody tr").count() == found
        if not found:
            assert page.locator("a:has-text('Show all')").count() == 1
