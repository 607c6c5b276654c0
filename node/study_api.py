"""The steward's API for studies, questions and policy, and what members say of studies."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query

from node.api_forms import BY, Form
from node.parts import Parts
from node.steward import Steward
from privacy.ledger.steward_entry import Signed


class DecisionForm(Form):
    """approved, refused, asked (with the question as the reason) or withdrawn; and by whom."""

    decision: str
    reason: str = ""
    by: str = BY
    signed: Signed | None = None


class SignOffForm(Form):
    """A patient reviewer's name and words."""

    reviewer: str
    words: str = ""
    by: str = BY


class QuestionForm(Form):
    """allowed or refused."""

    decision: str
    reason: str = ""
    by: str = BY


class PolicyForm(Form):
    """The text of a policy.toml."""

    content: str
    reason: str = ""
    by: str = BY
    signed: Signed | None = None


class VoiceForm(Form):
    """A member's question, or how much they want a study (1 to 5). Nobody's name."""

    kind: str
    words: str = ""
    priority: int = 0


def add_study_routes(app: FastAPI, parts: Parts, guard: list[Any]) -> None:
    """Routes for whom `guard` lets in."""
    _decision_routes(app, parts, guard)
    _question_routes(app, parts, guard)
    _policy_routes(app, parts, guard)
    _member_routes(app, parts, guard)


def _decision_routes(app: FastAPI, parts: Parts, guard: list[Any]) -> None:
    @app.get("/v1/studies", operation_id="list_studies", dependencies=guard)
    def studies() -> list[dict[str, Any]]:
        return Steward(parts).studies()

    @app.post("/v1/studies/{digest}/decision", operation_id="decide_study", dependencies=guard)
    def decide(digest: str, form: DecisionForm) -> dict[str, str]:
        decided = Steward(parts, form.by).decide(digest, form.decision, form.reason, form.signed)
        return {"decision": decided}

    @app.post("/v1/studies/{digest}/review", operation_id="sign_off", dependencies=guard)
    def sign_off(digest: str, form: SignOffForm) -> dict[str, str]:
        return Steward(parts, form.by).sign_off(digest, form.reviewer, form.words)


def _question_routes(app: FastAPI, parts: Parts, guard: list[Any]) -> None:
    @app.get("/v1/requests", operation_id="list_requests", dependencies=guard)
    def requests(days: Annotated[int, Query(ge=1, le=3660)] = 30) -> list[dict[str, Any]]:
        return Steward(parts).requests(days)

    @app.get("/v1/requests/waiting", operation_id="waiting_questions", dependencies=guard)
    def waiting() -> list[dict[str, Any]]:
        return Steward(parts).waiting_questions()

    @app.post("/v1/requests/{mark}", operation_id="decide_question", dependencies=guard)
    def decide_question(mark: str, form: QuestionForm) -> dict[str, str]:
        said = Steward(parts, form.by).decide_question(mark, form.decision, form.reason)
        return {"decision": said}


def _policy_routes(app: FastAPI, parts: Parts, guard: list[Any]) -> None:
    @app.get("/v1/policy", operation_id="show_policy", dependencies=guard)
    def policy() -> dict[str, Any]:
        return Steward(parts).policy()

    @app.get("/v1/policy/presets", operation_id="show_presets", dependencies=guard)
    def presets() -> dict[str, Any]:
        return Steward(parts).presets()

    @app.post("/v1/policy", operation_id="set_policy", dependencies=guard)
    def set_policy(form: PolicyForm) -> dict[str, Any]:
        steward = Steward(parts, form.by)
        return {"changes": steward.set_policy(form.content, form.reason, signed=form.signed)}

    @app.post("/v1/policy/trial", operation_id="try_policy", dependencies=guard)
    def try_policy(form: PolicyForm) -> dict[str, Any]:
        return Steward(parts, form.by).try_policy(form.content)


def _member_routes(app: FastAPI, parts: Parts, guard: list[Any]) -> None:
    @app.get("/v1/members/studies", operation_id="studies_for_members", dependencies=guard)
    def shown() -> list[dict[str, Any]]:
        return Steward(parts).studies_for_members()

    @app.post("/v1/members/studies/{digest}", operation_id="show_study", dependencies=guard)
    def show(digest: str) -> dict[str, str]:
        Steward(parts).show_to_members(digest)
        return {"shown": digest}

    @app.delete("/v1/members/studies/{digest}", operation_id="hide_study", dependencies=guard)
    def hide(digest: str) -> dict[str, str]:
        Steward(parts).show_to_members(digest, shown=False)
        return {"hidden": digest}

    @app.get("/v1/members/studies/{digest}/voices", operation_id="voices", dependencies=guard)
    def voices(digest: str) -> dict[str, Any]:
        return Steward(parts).voices(digest)

    @app.post("/v1/members/studies/{digest}/voices", operation_id="say", dependencies=guard)
    def say(digest: str, form: VoiceForm) -> dict[str, str]:
        Steward(parts).member_says(digest, form.kind, form.words, form.priority)
        return {"status": "kept"}
