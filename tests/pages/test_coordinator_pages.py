"""The coordinator's pages in a real browser: by clicking, with and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from privacy.contract.token import Role
from tests.support.browser import NARROW, WIDE, reader
from tests.support.site import STUDY, Site, open_site

pytestmark = pytest.mark.processes

PLAN = f"/studies/{STUDY}/ask?kind=histogram&columns=severity&amount=0.5"
PAGES = {
    Role.RESEARCHER: (
        "/catalogue",
        "/catalogue?named=nothing",
        "/studies",
        f"/studies/{STUDY}",
        f"/studies/{STUDY}/ask",
        PLAN,
        PLAN.replace("severity", "sverity"),
        "/runs",
        "/releases",
        "/releases?text=nothing",
        "/models",
        "/organisations",
        "/studies/none",
    ),
    Role.AUDITOR: ("/catalogue", "/studies", "/audit", "/releases", f"/studies/{STUDY}"),
    Role.CLINICIAN: ("/releases", "/insights"),
    None: ("/sign-in", "/insights", f"/insights/{STUDY}"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("pages")) as made:
        made.network().study(STUDY).mean("severity").run(epsilon=0.3)
        yield made


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("role", PAGES)
def test_every_page_is_for_everybody(site: Site, role: Role | None, width: int, dark: bool) -> None:
    """No complaint of axe, nothing refused by the page's policy, nothing from elsewhere, nothing
    cut off."""
    with reader(site.browser, site.url, site.cookie(role), width=width, dark=dark) as seen:
        for path in PAGES[role]:
            seen.go(path)
            assert seen.complaints() == [], path
            assert seen.overflow() == 0, path
            assert seen.unreadable() == [], path
            seen.keep(f"{path.strip('/').replace('/', '-').partition('?')[0]}-{width}-{dark}")
        release = site.network().study(STUDY).mean("severity").run(epsilon=0.3).release
        if role in (Role.RESEARCHER, Role.AUDITOR, Role.CLINICIAN):
            seen.go(f"/studies/{STUDY}/releases/{release}")
            assert seen.page.locator("h2:has-text('Methods')").count() == 1
            assert seen.complaints() == []
            assert seen.overflow() == 0
            assert seen.page.locator("figure svg text").count() > 0
            assert seen.unreadable() == []
        assert seen.troubles == []


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.RESEARCHER])
def test_researchers_alone_paste_a_delegation(site: Site, role: Role) -> None:
    with reader(site.browser, site.url, site.cookie(role)) as seen:
        token = seen.go("/studies").locator("input[name=csrf]").first.get_attribute("value")
        answer = seen.page.request.post(
            f"{site.url}/studies/{STUDY}/delegation",
            form={"csrf": token or "", "delegation": "not what it printed"},
        )
        assert answer.status == 403


@pytest.mark.parametrize("scripts", [True, False])
def test_a_researcher_asks_by_clicking(site: Site, scripts: bool) -> None:
    amount = "0.2" if scripts else "0.15"
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER), scripts=scripts) as seen:
        page = seen.go(f"/studies/{STUDY}")
        page.click("summary:has-text('paste it')")
        key = page.locator("pre code").first.inner_text().split("--to ")[1].strip()
        page.fill("#f-delegation", "not what it printed")
        page.click("text=Give leave")
        assert "not a delegation" in page.inner_text("#e-delegation")
        assert page.input_value("#f-delegation") == "not what it printed"
        page.fill("#f-delegation", site.give_leave(key))
        page.click("text=Give leave")
        page.select_option("#f-kind", "histogram")
        page.fill("#f-columns", "severity")
        page.click("#code summary")
        page.fill("#f-where", "condition == 'als'")
        page.fill("#f-amount", amount)
        page.click("button:has-text('Preview')")
        page.wait_for_selector("#h-run")
        assert page.inner_text("#h-what").startswith("Counts members in each bin of severity")
        page.click("button:has-text('Run')")
        assert "mean it" in page.inner_text("#e-sure")
        page.check("#f-sure")
        page.click("button:has-text('Run')")
        page.wait_for_selector("a:has-text('See the answer')")
        page.click("text=See the answer")
        shown = [float(text) for text in page.locator("tbody td:nth-child(2)").all_inner_texts()]
        result = site.network().study(STUDY).release(page.url.rpartition("/")[2])
        assert shown == list(result.display["estimate"])
        assert result.asked.cohort == "members.condition == 'als'"
        assert seen.troubles == []


def test_code_is_copied_by_a_button_that_only_a_script_adds(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER), scripts=False) as seen:
        assert seen.go(PLAN).locator("button.copy").count() == 0
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER)) as seen:
        seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = seen.go(PLAN)
        button = page.locator("#h-code ~ details button.copy").first
        button.click()
        page.wait_for_selector("button.copy:has-text('Copied')")
        code = page.locator("#h-code ~ details pre code").first.text_content()
        assert page.evaluate("navigator.clipboard.readText()") == code
        assert page.locator("pre > code").count() == page.locator("button.copy").count()
        assert seen.complaints() == []
        assert seen.troubles == []
        seen.keep("copy")


def test_the_catalogue_leads_to_the_planner(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER), scripts=False) as seen:
        page = seen.go("/catalogue")
        page.fill("#f-named", "sever")
        page.click("button:has-text('Show')")
        assert page.locator("tbody tr").count() == 2
        page.click("a:has-text('not known') >> nth=-1")
        assert page.input_value("#f-by") == "members.condition, members.severity"
        assert page.inner_text("#h-what").startswith("Counts members by condition and severity")


def test_what_a_page_offers_as_a_file_is_what_the_client_writes(site: Site, tmp_path: Path) -> None:
    result = site.network().study(STUDY).mean("severity").run(epsilon=0.3)
    stored = site.network().study(STUDY).release(result.release)
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER)) as seen:
        page = seen.go(f"/studies/{STUDY}/releases/{result.release}")
        for kind in ("csv", "json", "ipynb", "r"):
            with page.expect_download() as download:
                page.click(f"a[href$='file.{kind}']")
            stored.save(tmp_path / f"it.{kind}")
            assert Path(download.value.path()).read_text() == (tmp_path / f"it.{kind}").read_text()


def test_code_of_the_planner_asks_the_same(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER)) as seen:
        page = seen.go(PLAN + "&where=age+%3E%3D+18")
        code = page.locator("#h-code ~ details pre").first.inner_text()
    said: dict[str, object] = {}
    lines = [line for line in code.splitlines() if line.startswith(("analysis", "question"))]
    study = site.network().study(STUDY)
    from models.aggregates.requests import parse_analysis

    exec("\n".join(lines), {"parse_analysis": parse_analysis, "study": study}, said)  # noqa: S102
    assert said["question"] == study.where("age >= 18").histogram("severity")


@pytest.mark.parametrize(
    ("query", "where", "words"),
    [
        ("kind=mean&columns=sverity", "[role=alert]", "did you mean"),
        ("kind=mean&columns=severity&where=condition+%3D%3D+'flu'", "#e-where", "flu"),
        ("kind=mean&columns=severity&amount=-1", "#e-amount", "psilon"),
        ("kind=mean&columns=severity&aim=error&amount=0.000001", "[role=alert]", "No epsilon"),
        ("kind=mean&columns=severity&members=many", "#e-members", "whole number"),
        ("kind=nothing", "[role=alert]", "Something"),
    ],
)
def test_what_is_wrong_stands_beside_what_was_typed(
    site: Site, query: str, where: str, words: str
) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER), scripts=False) as seen:
        page = seen.go(f"/studies/{STUDY}/ask?{query}")
        assert words in page.inner_text(where)
        if "columns" in query:
            assert page.input_value("#f-columns") in query


def test_a_form_of_another_site_changes_nothing(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER)) as seen:
        page = seen.go("/studies")
        page.evaluate("document.querySelector('input[name=csrf]').value = 'x'.repeat(64)")
        page.click("text=Sign out")
        assert "not_permitted" in page.inner_text("main")
        seen.go("/studies")
        assert page.locator("text=Sign out").count() == 1


def test_nobody_sees_what_their_role_may_not(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.CLINICIAN)) as seen:
        page = seen.go("/audit")
        assert "not_permitted" in page.inner_text("main")
    with reader(site.browser, site.url) as seen:
        for path in ("/studies", "/runs", "/releases", "/organisations", "/audit", PLAN):
            assert seen.go(path).url.startswith(f"{site.url}/sign-in"), path


def test_whoever_signs_in_goes_on_to_the_very_question(site: Site) -> None:
    with reader(site.browser, site.url, scripts=False) as seen:
        assert seen.go(PLAN).get_attribute("input[name=to]", "value") == PLAN


def test_wrong_signing_in_keeps_the_name_and_says_nothing(site: Site) -> None:
    with reader(site.browser, site.url) as seen:
        page = seen.go("/studies")
        page.fill("#f-login", "nobody")
        page.fill("#f-password", "a password of nobody")
        page.fill("#f-code", "123456")
        page.click("button:has-text('Sign in')")
        assert "do not belong together" in page.inner_text("[role=alert]")
        assert page.input_value("#f-login") == "nobody"
        assert page.input_value("#f-password") == ""


def test_pages_are_light(site: Site) -> None:
    with reader(site.browser, site.url, site.cookie(Role.RESEARCHER)) as seen:
        sizes: list[int] = []
        seen.page.on("requestfinished", lambda request: sizes.append(_bytes(request)))
        for path in PAGES[Role.RESEARCHER]:
            sizes.clear()
            seen.context.clear_cookies(name="none")
            seen.go(path)
            seen.page.wait_for_load_state("networkidle")
            assert sum(sizes) <= 200_000, path


def _bytes(request: object) -> int:
    said = request.sizes()  # type: ignore[attr-defined]
    return int(said["responseBodySize"] + said["responseHeadersSize"])


def test_where_there_is_no_page_a_browser_sees_one_and_a_program_a_problem(site: Site) -> None:
    with reader(site.browser, site.url) as seen:
        for path in ("/nowhere", "/sign-out", "/studies/x/y/z"):
            assert "There is no such page" in seen.go(path).inner_text("main"), path
            assert seen.complaints() == [], path
    for path in ("/nowhere", "/v1/nowhere"):
        headers = {"accept": "application/json"} if path == "/nowhere" else {"accept": "text/html"}
        said = httpx.get(site.url + path, headers=headers, trust_env=False)
        assert said.status_code == 404
        assert said.json()["code"] == "not_found", path


def test_a_link_that_is_over_says_how_to_get_another(site: Site) -> None:
    with reader(site.browser, site.url, scripts=False) as seen:
        seen.go("/open/none")
        seen.page.click("main button")
        assert "cairn browser" in seen.page.inner_text("main")
