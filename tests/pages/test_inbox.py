"""Requests at the console: what they ask and cost, one decision on many, and rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from privacy.ledger.entry import Approval
from tests.support.browser import NARROW, reader
from tests.support.console import Console, opened_console

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with opened_console(tmp_path_factory.mktemp("inbox")) as made:
        yield made


def decisions(console: Console, study: str) -> list[tuple[str, str, str]]:
    """(decision, how, reason) of everything decided on a study."""
    bodies = (body for body in console.node.bodies if isinstance(body, Approval))
    return [(body.decision, body.how, body.reason) for body in bodies if body.study == study]


@pytest.mark.parametrize("scripts", [True, False])
def test_a_request_says_what_it_is_and_a_question_back_keeps_what_was_typed(
    console: Console, scripts: bool
) -> None:
    name = f"asks-{scripts}".lower()
    study = console.propose(name, variables=("members.age", "members.condition"))
    with reader(console.browser, console.url, width=NARROW, scripts=scripts) as seen:
        console.enter(seen)
        page = seen.go(f"/console/studies/{study.digest}")
        text = page.inner_text("main")
        assert "asks for any analysis of the catalogue on members.age, members.condition" in text
        assert "of what a period's budget" in text
        assert "It waits for you: nothing is approved without a steward" in text
        assert page.locator("tbody code").all_inner_texts() == ["members.condition", "members.age"]
        assert page.locator("figure svg[role=img]").count() == 2
        page.click("button[value=asked]")
        assert "nothing is asked" in page.inner_text("#e-reason")
        page.fill("#f-reason", "Why age?")
        page.click("button[value=asked]")
        assert page.inner_text("main .state") == "asked"
        if scripts:
            assert seen.complaints() == []
        assert seen.troubles == []
    assert decisions(console, name) == [("asked", "steward", "Why age?")]


def test_examples_are_made_up_and_read_no_record(console: Console) -> None:
    study = console.propose("made-up", variables=("members.condition",))
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go(f"/console/studies/{study.digest}")
        page.locator("details summary").first.click()
        cells = page.locator("section:has(figure) tbody td:nth-child(2)").all_inner_texts()
    members = console.node.parts.records.members
    assert sum(float(text.replace(",", "")) for text in cells[:3]) > 5 * members


def test_one_decision_on_many_and_each_says_what_became_of_it(console: Console) -> None:
    good = console.propose("many-good")
    bad = console.propose("many-bad", t_drop=1)
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/studies")
        page.fill("#f-reason", "as the board said")
        page.click("button[value=approved]")
        assert "Tick a request" in page.inner_text("#e-which")
        assert page.input_value("#f-reason") == "as the board said"
        for study in (good, bad):
            page.check(f"input[value='{study.digest}']")
        page.click("button[value=approved]")
        said = page.inner_text("[role=status]")
        assert "many-good: approved" in said
        assert "many-bad: not done" in said
        assert "more organisations drop out" in said
        page.select_option("#f-which", "outside")
        page.fill("#f-reason", "not ours")
        page.click("button[value=refused]")
        assert "many-bad: refused" in page.inner_text("[role=status]")
    assert decisions(console, "many-good") == [("approved", "steward", "as the board said")]
    assert decisions(console, "many-bad") == [("refused", "steward", "not ours")]


def test_what_came_since_the_page_was_shown_is_not_decided(console: Console) -> None:
    seen_study = console.propose("seen")
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/studies")
        later = console.propose("came-later")
        page.select_option("#f-which", "fits")
        page.fill("#f-reason", "all of these")
        page.click("button[value=approved]")
        said = page.inner_text("[role=status]")
        assert "seen: approved" in said
        assert "came-later" not in said
    assert decisions(console, seen_study.id) == [("approved", "steward", "all of these")]
    assert decisions(console, later.id) == []


def test_a_rule_decides_what_waits_and_says_why(console: Console) -> None:
    outside = console.propose("by-rule", t_drop=1)
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/studies")
        page.get_by_label("Begin: approve what known").click()
        assert "is known here yet" in page.inner_text("#e-rule")
        page.get_by_label("Begin: refuse every study").click()
        assert "by-rule: refused" in page.locator("[role=status]").nth(1).inner_text()
        page.get_by_label("Stop: refuse every study").click()
        assert "decided nothing" in page.inner_text("[role=status]")
    [(decision, how, reason)] = decisions(console, outside.id)
    assert (decision, how) == ("refused", "policy")
    assert "drop out" in reason
