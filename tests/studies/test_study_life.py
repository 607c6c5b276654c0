"""The life of a study: only steps in turn, each by a key that may take it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from privacy.contract.signing import Envelope, SigningKey
from privacy.contract.study import ConsentRule, Investigator, Study
from privacy.contract.study_life import (
    MAY,
    Act,
    Life,
    Signer,
    SignOff,
    State,
    StudyStep,
    open_sign_off,
    open_step,
)
from privacy.errors import BadInput, Code, Refused, VerificationFailed

AT = "2026-03-10T12:00:00Z"
ADA, COORDINATOR, STRANGER = (SigningKey(name * 32) for name in (b"a", b"c", b"s"))
NODES = {name: SigningKey(name[:1].encode() * 32) for name in ("north", "east", "west", "Xtra")}
KEYS = {name: key.public for name, key in NODES.items()}
NEEDED = 3


def study(**changes: Any) -> Study:
    facts: dict[str, Any] = {
        "id": "als", "title": "ALS", "purpose": "research", "consent": ConsentRule.REQUIRED,
        "starts": "2026-01-01", "ends": "2026-12-31", "epsilon_allowance": "1",
        "delta": "1/1000000", "dictionary": "0" * 64,
        "investigators": (Investigator(key=ADA.public.text),),
    }  # fmt: skip
    return Study(**(facts | changes))


STUDY = study()


def step(act: Act, signer: Signer, **more: Any) -> StudyStep:
    return StudyStep.of(more.pop("study", STUDY), act, signer, AT, **more)


def decided(act: Act, node: str, number: int = 0, note: str = "") -> StudyStep:
    return step(act, Signer.ORGANISATION, by=node, number=number, note=note)


def opened(envelope: Envelope) -> StudyStep:
    return open_step(envelope, STUDY, COORDINATOR.public, KEYS)


def lived(*steps: StudyStep) -> Life:
    life = Life.draft(STUDY, len(NODES), NEEDED)
    for each in steps:
        life = life.after(each)
    return life


PROPOSED = step(Act.PROPOSE, Signer.RESEARCHER)
APPROVED = tuple(decided(Act.APPROVE, node) for node in ("north", "east", "west"))
START = step(Act.START, Signer.COORDINATOR)
CLOSE = step(Act.CLOSE, Signer.RESEARCHER)
PUBLISH = step(Act.PUBLISH, Signer.RESEARCHER, note="It helps.")


def test_the_whole_life() -> None:
    steps = (PROPOSED, *APPROVED, START, CLOSE, PUBLISH)
    states = [lived(*steps[:n]).state.value for n in range(len(steps) + 1)]
    assert states == [
        "draft", "proposed", "proposed", "proposed", "approved", "running", "closed", "published"
    ]  # fmt: skip


def test_a_question_is_asked_back_and_answered() -> None:
    asked = decided(Act.ASK, "north", note="Why so many columns?")
    life = lived(PROPOSED, asked)
    assert life.state is State.ASKED_BACK
    assert life.after(PROPOSED).state is State.PROPOSED
    assert "north" not in life.after(PROPOSED).decisions


def test_refused_once_too_few_are_left_that_could_approve() -> None:
    refusals = (decided(Act.REFUSE, "north"), decided(Act.REFUSE, "east"))
    assert lived(PROPOSED, refusals[0]).state is State.PROPOSED
    assert lived(PROPOSED, *refusals).state is State.REFUSED
    changed_its_mind = decided(Act.APPROVE, "north", 1)
    assert lived(PROPOSED, *refusals, changed_its_mind).state is State.PROPOSED


def test_a_withdrawal_that_leaves_too_few_ends_the_approval() -> None:
    life = lived(PROPOSED, *APPROVED, START, decided(Act.WITHDRAW, "west", 1))
    assert (life.state, life.approving) == (State.PROPOSED, 2)
    assert life.after(decided(Act.APPROVE, "Xtra")).state is State.RUNNING


def taken(life: Life, each: StudyStep) -> bool:
    try:
        life.after(each)
    except Refused:
        return False
    return True


def test_a_question_asked_of_an_approved_study_can_be_answered() -> None:
    life = lived(PROPOSED, *APPROVED, decided(Act.ASK, "Xtra", note="Why?"))
    assert life.state is State.APPROVED
    assert life.researchers_turn == (Act.PROPOSE, Act.CLOSE)


OUT_OF_TURN: dict[str, tuple[tuple[StudyStep, ...], StudyStep]] = {
    "a decision on a draft": ((), decided(Act.APPROVE, "north")),
    "a start of what is not approved": ((PROPOSED, *APPROVED[:2]), START),
    "a start twice": ((PROPOSED, *APPROVED, START), START),
    "a proposal twice": ((PROPOSED,), PROPOSED),
    "a proposal of what is approved": ((PROPOSED, *APPROVED), PROPOSED),
    "an approval after the end": ((PROPOSED, CLOSE), decided(Act.APPROVE, "north")),
    "a close of a draft": ((), CLOSE),
    "a close twice": ((PROPOSED, CLOSE), CLOSE),
    "results before the end": ((PROPOSED, *APPROVED, START), PUBLISH),
    "results twice": ((PROPOSED, CLOSE, PUBLISH), PUBLISH),
    "no results": ((PROPOSED, CLOSE), step(Act.PUBLISH, Signer.RESEARCHER, note=" ")),
    "a withdrawal of nothing": ((PROPOSED,), decided(Act.WITHDRAW, "north")),
    "a decision said before": ((PROPOSED, decided(Act.REFUSE, "north", 4)), APPROVED[0]),
    "another version": ((), step(Act.PROPOSE, Signer.RESEARCHER, study=study(version=2))),
    "another text": ((), step(Act.PROPOSE, Signer.RESEARCHER, study=study(title="x"))),
}


@pytest.mark.parametrize("name", OUT_OF_TURN)
def test_a_step_out_of_turn_is_refused(name: str) -> None:
    before, wrong = OUT_OF_TURN[name]
    with pytest.raises(Refused) as refused:
        lived(*before).after(wrong)
    assert refused.value.code is Code.CONFLICT


def keys_of(signer: Signer, by: str) -> SigningKey:
    match signer:
        case Signer.RESEARCHER:
            return ADA
        case Signer.COORDINATOR:
            return COORDINATOR
        case Signer.ORGANISATION:
            return NODES[by]


@pytest.mark.parametrize("act", list(Act))
@pytest.mark.parametrize("signer", list(Signer))
@pytest.mark.parametrize("key", [ADA, COORDINATOR, STRANGER, NODES["north"], NODES["east"]])
def test_only_the_right_key_takes_a_step(act: Act, signer: Signer, key: SigningKey) -> None:
    by = "north" if signer is Signer.ORGANISATION else ""
    sealed = step(act, signer, by=by).sealed(key)
    if key is keys_of(signer, by) and act in MAY[signer]:
        assert opened(sealed).act is act
    else:
        with pytest.raises(VerificationFailed):
            opened(sealed)


def test_releases_become_public_with_results_alone() -> None:
    named = step(Act.PUBLISH, Signer.RESEARCHER, note="It helps.", releases=("1" * 64,))
    assert opened(named.sealed(ADA)).releases == ("1" * 64,)
    for act in (Act.PROPOSE, Act.CLOSE):
        with pytest.raises(VerificationFailed):
            opened(step(act, Signer.RESEARCHER, releases=("1" * 64,)).sealed(ADA))


def test_a_changed_or_borrowed_step_is_refused() -> None:
    sealed = decided(Act.REFUSE, "north").sealed(NODES["north"])
    said = sealed.to_json()
    said["body"]["act"] = "approve"
    with pytest.raises(VerificationFailed):
        opened(Envelope.from_json(said))
    other = step(Act.PROPOSE, Signer.RESEARCHER, study=study(version=2)).sealed(ADA)
    with pytest.raises(VerificationFailed):
        opened(other)
    with pytest.raises(VerificationFailed):
        opened(Envelope.seal("question", PROPOSED.to_json(), ADA))


def sign_off(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "study": STUDY.id, "study_digest": STUDY.digest, "organisation": "north",
        "reviewer": "Ruth", "at": AT, "words": "We want to know this.",
    }  # fmt: skip
    said = SignOff(**(facts | changes))
    return Envelope.seal("patient-review", said.to_json(), STRANGER).to_json()


def test_a_sign_off_belongs_to_its_study_and_organisation() -> None:
    review = decided(Act.REVIEW, "north").model_copy(update={"attached": sign_off()})
    assert open_sign_off(review).reviewer == "Ruth"
    assert lived(PROPOSED, review).state is State.PROPOSED
    for wrong in ({"organisation": "east"}, {"study_digest": "1" * 64}):
        with pytest.raises(VerificationFailed):
            open_sign_off(review.model_copy(update={"attached": sign_off(**wrong)}))
    with pytest.raises(BadInput):
        open_sign_off(decided(Act.REVIEW, "north"))


class LifeMachine(RuleBasedStateMachine):
    """Any steps in any order; what must hold is computed from the steps that were taken."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life.draft(STUDY, len(NODES), NEEDED)
        self.taken: list[StudyStep] = []

    def take(self, each: StudyStep) -> None:
        try:
            self.life = self.life.after(each)
        except Refused:
            return
        self.taken.append(each)

    @rule(act=st.sampled_from(sorted(MAY[Signer.RESEARCHER])), words=st.sampled_from(["", "yes"]))
    def researcher(self, act: Act, words: str) -> None:
        self.take(step(act, Signer.RESEARCHER, note=words))

    @rule(act=st.sampled_from(sorted(MAY[Signer.COORDINATOR])))
    def coordinator(self, act: Act) -> None:
        self.take(step(act, Signer.COORDINATOR))

    @rule(
        act=st.sampled_from(sorted(MAY[Signer.ORGANISATION])),
        node=st.sampled_from(sorted(NODES)),
        late=st.integers(0, 1),
    )
    def organisation(self, act: Act, node: str, late: int) -> None:
        count = sum(1 for each in self.taken if each.by == node)
        self.take(decided(act, node, max(0, count - late), "?"))

    def acts(self) -> list[Act]:
        return [each.act for each in self.taken]

    @invariant()
    def nothing_before_its_proposal_and_nothing_after_its_end(self) -> None:
        acts = self.acts()
        assert not acts or acts[0] is Act.PROPOSE
        assert acts.count(Act.CLOSE) <= 1
        assert acts.count(Act.PUBLISH) <= 1
        if Act.CLOSE in acts:
            after = acts[acts.index(Act.CLOSE) + 1 :]
            assert set(after) <= {Act.PUBLISH, Act.WITHDRAW}

    @invariant()
    def approved_only_while_enough_organisations_say_so(self) -> None:
        newest: dict[str, Act] = {}
        for each in self.taken:
            if each.act is Act.PROPOSE:
                newest = {n: act for n, act in newest.items() if act is not Act.ASK}
            elif each.signer is Signer.ORGANISATION and each.act is not Act.REVIEW:
                newest[each.by] = each.act
        approving = sum(1 for act in newest.values() if act is Act.APPROVE)
        if self.life.state in (State.APPROVED, State.RUNNING):
            assert approving >= NEEDED
        assert self.life.approving == approving
        if self.life.state is State.RUNNING:
            assert Act.START in self.acts()

    @invariant()
    def an_investigator_may_take_the_steps_that_are_told_and_no_others(self) -> None:
        takes = {Act.PROPOSE: PROPOSED, Act.CLOSE: CLOSE, Act.PUBLISH: PUBLISH}
        may = [act for act, each in takes.items() if taken(self.life, each)]
        assert sorted(self.life.researchers_turn) == sorted(may)

    @invariant()
    def the_state_follows_from_the_log_alone(self) -> None:
        assert lived(*self.taken) == self.life


TestLife = LifeMachine.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
