"""The requests inbox: every proposal at a glance, one decision on many, and automatic rules."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from node.console.signing import FIELD, is_signed, policy_needs_key, signer, to_sign
from node.console.visit import Visit
from node.console.words import in_words
from pages.forms import Form
from pages.languages import N_
from privacy.errors import BadInput, Refused
from privacy.ledger.steward_entry import Signed, policy_word
from privacy.ledger.stewards import policy_digest

_RULE_FORM = ("rule", "on", "reason", "known")
OPEN = ("waiting", "endorsed", "asked")  # not decided yet, by two, or with the researchers


def show(visit: Visit) -> Response:
    """Every study offered, those that wait first."""
    return _page(visit)


def decide(visit: Visit) -> Response:
    """One decision on the studies that were ticked, or on all of a kind."""
    steward, form = visit.changing(), visit.form
    digests = _meant(form, steward.studies())
    if not digests:
        wrong = N_("Tick a request, or choose a kind of which there is one.")
        return _page(visit, 422, form=form.with_wrong("which", wrong))
    return _page(
        visit, done=steward.decide_many(digests, form.value("decision"), form.value("reason"))
    )


def _meant(form: Form, studies: list[dict[str, Any]]) -> list[str]:
    """The digests of the studies that a form is about, in the order of the page; none that came
    since, which nobody has seen."""
    seen = form.values("shown")
    wait = [e for e in studies if e["decision"] in OPEN and e["digest"] in seen]
    match form.value("which"):
        case "outside":
            return [each["digest"] for each in wait if not each["says"]["fits"]]
        case "fits":
            return [each["digest"] for each in wait if each["says"]["fits"]]
        case _:
            ticked = form.values("digest")
            return [each["digest"] for each in wait if each["digest"] in ticked]


def change_rule(visit: Visit) -> Response:
    """Let the node decide something by itself from now on, or no more."""
    steward, form = visit.changing(), visit.form
    rule, on, reason = form.value("rule"), form.value("on") == "yes", form.value("reason")
    known = form.values("known")
    try:
        body = steward.with_rule(rule, on, known)
        sign = to_sign(visit, policy_word(policy_digest(body), reason))
        if not is_signed(visit) and policy_needs_key(visit):
            return _page(visit, sign=sign)
        signed: Signed | None = None
        if is_signed(visit):
            steward, signed = signer(visit)
        decided = steward.set_rule(rule, on, reason, known, signed)
        return _page(visit, form=Form(), done=decided, rule_set=True)
    except BadInput as wrong:
        field = FIELD if is_signed(visit) else "rule"
        again = sign if is_signed(visit) else None
        return _page(visit, 422, form=form.with_wrong(field, str(wrong)), sign=again)
    except Refused as refused:
        told = form.with_trouble(in_words(refused), refused.code.value)
        return _page(visit, 409, form=told)


def _page(visit: Visit, status: int = 200, **more: Any) -> Response:
    steward = visit.steward
    studies = steward.studies()[::-1]
    wait = [each for each in studies if each["decision"] in OPEN]
    return visit.page(
        "studies.html",
        status,
        waiting=wait,
        decided=[each for each in studies if each["decision"] not in OPEN],
        outside=sum(not each["says"]["fits"] for each in wait),
        fits=sum(bool(each["says"]["fits"]) for each in wait),
        automatic=steward.automatic(),
        questions=len(steward.waiting_questions()),
        hidden=[(name, said) for name in _RULE_FORM for said in visit.form.values(name)],
        **{"done": None, "rule_set": False, "sign": None, **more},
    )
