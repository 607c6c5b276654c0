"""The planner's form by clicking: conditions and code in step, number and slider in step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from privacy.contract.token import Role
from tests.support.browser import Reader, reader
from tests.support.site import STUDY, Site, open_site

pytestmark = pytest.mark.processes
ASK = f"/studies/{STUDY}/ask"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("planner")) as made:
        yield made


@pytest.fixture(params=[True, False], ids=["scripts", "plain"])
def seen(site: Site, request: pytest.FixtureRequest) -> Iterator[Reader]:
    cookie = site.cookie(Role.RESEARCHER)
    with reader(site.browser, site.url, cookie, scripts=request.param) as made:
        yield made
        assert made.troubles == []


def _next(seen: Reader, waiting_for: str) -> Page:
    """What was changed is seen: by a script at once, without one after the button."""
    if not seen.scripts:
        seen.page.click("button:has-text('Preview')")
    seen.page.wait_for_selector(waiting_for, state="attached")
    return seen.page


def _choose(seen: Reader, field: str, value: str | list[str], waiting_for: str) -> Page:
    seen.page.select_option(field, value)
    return _next(seen, waiting_for)


def test_conditions_are_chosen_from_the_dictionary_and_the_code_follows(seen: Reader) -> None:
    page = seen.go(ASK)
    _choose(seen, "#f-var-0", "members.condition", "#f-op-0")
    _choose(seen, "#f-op-0", "in", "#f-val-0[multiple]")
    _choose(seen, "#f-val-0", ["als", "ms"], "#h-what:has-text('condition als or ms')")
    _choose(seen, "#f-var-1", "members.age", "#f-op-1")
    page.select_option("#f-op-1", ">=")
    page.fill("#f-val-1", "40")
    page.press("#f-val-1", "Tab")
    _next(seen, "#h-what:has-text('age at least 40')")
    assert page.input_value("#f-where") == (
        "members.condition in ['als', 'ms'] and members.age >= 40"
    )
    left = page.locator("table:has(caption:has-text('made-up')) tbody th").all_inner_texts()
    assert left == ["all members", "members.condition in ['als', 'ms']", "members.age >= 40"]
    _choose(seen, "#f-var-0", "", "#rows:not(:has(#f-var-2))")
    assert page.input_value("#f-where") == "members.age >= 40"


def test_code_that_is_edited_becomes_conditions(seen: Reader) -> None:
    page = seen.go(ASK + "?kind=count&where=age+>+30")
    page.wait_for_selector("#h-what")
    assert page.input_value("#f-var-0") == "members.age"
    page.click("#code summary")
    page.fill("#f-where", "age between 18 and 65 and (age < 30 or condition == 'ms')")
    page.press("#f-where", "Tab")
    _next(seen, "#f-var-1 option[selected][value='=']")
    assert page.input_value("#f-op-0") == "between"
    assert page.input_value("#f-val-0") == "18 and 65"
    assert page.input_value("#f-val-1") == "(age < 30 or condition == 'ms')"


@pytest.mark.parametrize(("field", "typed"), [("#f-val-0", "many"), ("#f-where", "age > ")])
def test_what_is_wrong_stands_beside_it_and_stays_as_typed(
    seen: Reader, field: str, typed: str
) -> None:
    page = seen.go(ASK + "?kind=count&where=age+>+30")
    page.wait_for_selector("#h-what")
    if field == "#f-where":
        page.click("#code summary")
    page.fill(field, typed)
    page.press(field, "Tab")
    _next(seen, f"{field}[aria-invalid=true]")
    assert page.input_value(field).strip() == typed.strip()
    assert page.locator("#h-run").count() == 0
    if seen.scripts:
        assert seen.complaints() == []


def test_slider_and_number_are_in_step(seen: Reader) -> None:
    page = seen.go(ASK + "?kind=count&amount=1")
    page.wait_for_selector("#h-what")
    page.focus("#f-slide")
    page.press("#f-slide", "Home")
    _next(seen, "#f-amount[value='0.01']")
    page.fill("#f-amount", "0.5")
    page.press("#f-amount", "Tab")
    _next(seen, "#f-slide[value='-6']")
    assert "epsilon 0.5" in page.inner_text("#preview")
    page.check("#f-aim-2")
    page.fill("#f-amount", "40")
    page.press("#f-amount", "Tab")
    _next(seen, "#preview dd:has-text('± 4')")
    assert page.is_checked("#f-aim-2")
