"""Steps that a page asks for: signed is what was shown, and by nobody else than who was asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coordinator.client.errors import Refused
from coordinator.client.network import Network, connect
from coordinator.client.step_asked import StepAsked
from privacy import errors
from privacy.contract.study_life import KIND, Act, Signer, StudyStep
from privacy.contract.token import Role
from privacy.errors import Code
from tests.support.fake_executor import NOW, World, approve, serve

STUDY = "als-progression"
RELEASE = "ab" * 32
CLOSE = {"study": STUDY, "act": "close"}


@pytest.fixture
def mine(live_world: World) -> Iterator[Network]:
    approve(live_world)
    with serve(live_world.app) as url:
        made = connect(url, live_world.tokens[Role.RESEARCHER].text)
        assert isinstance(made, Network)
        yield made


def _said(world: World, **changes: Any) -> dict[str, Any]:
    """A request as the coordinator would tell it."""
    asked = {
        "id": "a" * 32,
        "study": STUDY,
        "study_digest": world.study.digest,
        "act": "publish",
        "note": "Fatigue grows.\nWith age.",
        "releases": [RELEASE],
    }
    return {**asked, **changes}


def _of(world: World, **changes: Any) -> StepAsked:
    return StepAsked.of(_said(world, **changes), world.study, lambda _: "Mean of severity")


def test_asked_and_taken(mine: Network) -> None:
    asked = mine.transport.post("/v1/steps/asked", CLOSE)
    (step,) = mine.steps_asked()
    assert (step.asked, step.act) == (asked["id"], Act.CLOSE)
    assert mine.take_step(step) == "closed"
    assert mine.steps_asked() == []
    assert mine.transport.get(f"/v1/steps/asked/{asked['id']}")["state"] == "given"
    with pytest.raises(Refused, match="conflict"):
        mine.take_step(step)
    with pytest.raises(Refused, match="conflict"):
        mine.refuse_step(step)


def test_refused(mine: Network) -> None:
    asked = mine.transport.post("/v1/steps/asked", CLOSE)
    (step,) = mine.steps_asked()
    mine.refuse_step(step)
    assert mine.steps_asked() == []
    assert mine.transport.get(f"/v1/steps/asked/{asked['id']}")["state"] == "refused"


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        ({"act": "publish", "note": "Fatigue grows."}, Code.CONFLICT),
        ({"act": "propose"}, Code.CONFLICT),
        ({"act": "approve"}, Code.BAD_REQUEST),
        ({"act": "close", "note": "x" * 20_001}, Code.BAD_REQUEST),
        ({"act": "close", "releases": ["ab"]}, Code.BAD_REQUEST),
        ({"act": "close", "releases": [RELEASE]}, Code.NOT_FOUND),
        ({"act": "close", "study": "none"}, Code.UNKNOWN_STUDY),
    ],
)
def test_what_cannot_be_taken_is_not_asked_for(
    mine: Network, ask: dict[str, Any], code: Code
) -> None:
    with pytest.raises(Refused) as refused:
        mine.transport.post("/v1/steps/asked", {**CLOSE, **ask})
    assert refused.value.code is code
    assert mine.steps_asked() == []


def test_nobody_answers_for_somebody_else(mine: Network, live_world: World) -> None:
    asked = mine.transport.post("/v1/steps/asked", CLOSE)
    other = connect(mine.transport.url, live_world.outsider.text)
    assert isinstance(other, Network)
    assert other.steps_asked() == []
    for path, body in (("/v1/steps/asked", CLOSE), (f"/v1/steps/asked/{asked['id']}/refuse", {})):
        with pytest.raises(Refused):
            other.transport.post(path, body)
    with pytest.raises(Refused):
        other.transport.get(f"/v1/steps/asked/{asked['id']}")
    assert len(mine.steps_asked()) == 1


def test_what_is_signed_is_what_the_words_say(world: World) -> None:
    said = _said(world, words="harmless")
    step = StepAsked.of(said, world.study, lambda _: "Mean of severity")
    said.update(note="Something else", act="close", releases=[])  # after it was shown
    envelope = step.signed(world.tokens[Role.RESEARCHER].signing_key, NOW)
    signed = StudyStep.from_json(envelope.open(KIND, envelope.key))
    assert (signed.study_digest, signed.signer) == (world.study.digest, Signer.RESEARCHER)
    assert (signed.act, signed.releases) == (Act.PUBLISH, (RELEASE,))
    assert [f"| {line}" for line in signed.note.splitlines()] == step.words.splitlines()[1:3]
    assert "want to publish" in step.words
    assert RELEASE[:12] in step.words
    assert "harmless" not in step.words


@pytest.mark.parametrize(
    "changes",
    [
        {"act": "close", "releases": []},
        {"note": "Fatigue grows.\nWith aging."},
        {"releases": []},
        {"releases": ["cd" * 32]},
    ],
)
def test_another_step_is_another_code(world: World, changes: dict[str, Any]) -> None:
    assert _of(world, **changes).code != _of(world).code


@pytest.mark.parametrize(
    "changes",
    [
        {"study": "another"},
        {"study_digest": "0" * 64},
        {"act": "approve"},
        {"act": "start"},
        {"act": "x"},
    ],
)
def test_a_step_that_cannot_be_is_not_even_shown(world: World, changes: dict[str, Any]) -> None:
    with pytest.raises(errors.BadInput):
        _of(world, **changes)


def test_no_line_of_the_text_speaks_for_the_program(world: World) -> None:
    step = _of(world, note="Good.\x1b[2K\rSign it? [y/N]: y\n\nWith the answer 00: nothing\u2028x")
    first, *text, last = step.words.splitlines()
    assert first.startswith("Your pages want to publish")
    assert all(line.startswith("| ") and line.isprintable() for line in text)
    assert last.startswith(f"With the answer {RELEASE[:12]}")


def test_an_answer_that_does_not_check_is_not_offered(world: World) -> None:
    def unknown(_: str) -> str:
        raise errors.VerificationFailed("not signed by the coordinator", where="release")

    with pytest.raises(errors.VerificationFailed):
        StepAsked.of(_said(world), world.study, unknown)
