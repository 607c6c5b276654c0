"""Stewards' signatures: made where the key is, pasted into the console, held to two keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.signing_text import ToSign, parse_signed
from node.steward_keys import new_key_file
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput
from privacy.ledger.desk_entry import Endorsement
from privacy.ledger.entry import Approval
from privacy.ledger.steward_entry import PeriodOpened, decision_word
from tests.support.browser import reader
from tests.support.console import NODE, Console, opened_console
from tests.support.ledger_factory import signing_key
from tests.support.seeded import seeded_entropy
from tests.support.stewards import join_stewards

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with opened_console(tmp_path_factory.mktemp("two")) as made:
        yield made


@pytest.fixture(scope="module")
def keys(console: Console) -> list[SigningKey]:
    """Of Ina and Tom; two have to approve."""
    joined = join_stewards(console.node, "Ina", "Tom")
    console.steward.set_policy('yearly_epsilon = "100"\napprovers = 2\n')
    return joined


def test_a_signature_is_made_where_the_key_is(tmp_path: Path) -> None:
    key = tmp_path / "ina.key"
    made = new_key_file(key, seeded_entropy("ina")).signing_key
    asked = ToSign(NODE, "test", decision_word("0" * 64, "approved", "the board: yes"))
    runner = CliRunner()
    signed = runner.invoke(app, ["sign", asked.text, "--key", str(key)], input="y\n")
    assert signed.exit_code == 0, signed.stderr
    assert "do: approved" in signed.stderr
    assert "reason: the board: yes" in signed.stderr
    parse_signed(signed.stdout).check(NODE, "test", asked.word)
    assert parse_signed(signed.stdout).key == made.public.text
    secret = key.read_text().strip()
    assert secret not in signed.stdout + signed.stderr
    assert runner.invoke(app, ["sign", asked.text, "--key", str(key)], input="n\n").exit_code == 2
    cut = runner.invoke(app, ["sign", asked.text[:-9], "--key", str(key), "--yes"])
    assert (cut.exit_code, "cut off" in cut.stderr) == (2, True)
    with pytest.raises(BadInput, match="begin with cairn-signed"):
        parse_signed(asked.text)


def test_two_stewards_sign_and_no_key_comes_near_the_console(
    console: Console, keys: list[SigningKey]
) -> None:
    ina, tom = keys
    study = console.propose("two")
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go(f"/console/studies/{study.digest}")
        assert "Missing: two of Ina, Tom" in page.inner_text("main")
        page.fill("#f-reason", "as the board said")
        page.click("button[value=approved]")
        assert seen.complaints() == []
        seen.keep("console-sign")
        page.fill("#f-signature", "cairn-signed:abc")
        page.click("text=Put it in the ledger")
        assert "cut off" in page.inner_text("#e-signature")
        assert page.input_value("#f-signature") == "cairn-signed:abc"
        console.sign(page, signing_key("a stranger"))
        assert "no steward's key" in page.inner_text("#e-signature")
        console.sign(page, ina)
        assert page.inner_text("main .state") == "endorsed"
        assert "Ina signed. Missing: one of Tom" in page.inner_text("main")
        page.click("button[value=approved]")
        console.sign(page, ina)
        assert "approved already" in page.inner_text("#e-signature")
        console.sign(page, tom)
        assert "not_permitted" not in page.inner_text("main"), "another reason was signed"
        assert page.inner_text("main .state") == "approved"
        assert seen.troubles == []
        bodies = [b for b in console.node.bodies if isinstance(b, Endorsement | Approval)]
        assert [(body.by, bool(body.signed)) for body in bodies[-2:]] == [
            ("Ina", True),
            ("Tom", True),
        ]


def test_a_policy_that_asks_for_two_is_changed_with_a_key(
    console: Console, keys: list[SigningKey]
) -> None:
    with reader(console.browser, console.url, scripts=False) as seen:
        console.enter(seen)
        page = seen.go("/console/policy")
        page.fill("#f-content", 'yearly_epsilon = "100"\napprovers = 2\nmin_nodes = 2\n')
        page.fill("#f-reason", "the board")
        page.click("button[value=try]")
        page.click("text=Put it in force")
        assert "do: policy" in page.inner_text("section:has(#h-sign)")
        page.fill("#f-signature", "no such line")
        page.click("text=Put it in the ledger")
        assert "begin with" in page.inner_text("#e-signature")
        console.sign(page, keys[1])
        assert "Tom: the board" in page.inner_text("main")
        page = seen.go("/console/studies")
        page.get_by_label("Begin: refuse every study").click()
        console.sign(page, keys[0])
        assert "in force from now on" in page.inner_text("[role=status]")
    assert console.steward.policy()["by"] == "Ina"


def test_the_next_year_is_opened_with_a_key(console: Console, keys: list[SigningKey]) -> None:
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        page = seen.go("/console/policy")
        assert "once this one is over" in page.inner_text("section:has(#h-year)")
        assert page.locator("text=Open the next year").count() == 0
    console.network.clock.forward(days=366)
    with reader(console.browser, console.url) as seen:
        console.enter(seen)
        assert "a period is open" in seen.page.inner_text("main")
        page = seen.go("/console/policy")
        assert "It is over" in page.inner_text("section:has(#h-year)")
        page.click("text=Open the next year")
        assert "do: open-period" in page.inner_text("section:has(#h-sign)")
        assert seen.complaints() == []
        seen.keep("console-next-year")
        console.sign(page, signing_key("a stranger"))
        assert "no steward's key" in page.inner_text("#e-signature")
        console.sign(page, keys[1])
        assert "From 2027-03-11 to 2028-03-11" in page.inner_text("section:has(#h-year)")
        assert seen.troubles == []
    opened = [body for body in console.node.bodies if isinstance(body, PeriodOpened)]
    assert [(body.by, body.signed is None) for body in opened] == [
        ("steward", False),
        ("Tom", False),
    ]
