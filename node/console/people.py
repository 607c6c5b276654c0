"""Stewards and their keys, the node's own key, backups, and leaving the network."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from node.checklist import BACKUP_DAYS
from node.console.invitations import Invitation
from node.console.signing import FIELD, has_stewards, is_signed, signer, to_sign
from node.console.visit import Visit, go
from node.console.words import in_words
from node.signing_text import parse_joined
from node.steward_keys import LIFETIME
from pages.languages import N_
from privacy.contract.signing import PublicKey
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import BadInput, Refused
from privacy.ledger.steward_entry import StewardEnded, StewardInvited, end_word


def show(visit: Visit) -> Response:
    """Who signs here, with which keys, and what keeps the node."""
    return _page(visit)


def invite(visit: Visit) -> Response:
    """Invite a steward; where there are some, by the signature of one."""
    steward, form, session = visit.changing(), visit.form, visit.session
    again: dict[str, Any] = {}
    try:
        if not is_signed(visit):
            made = _new_invitation(visit)
            if has_stewards(visit) and not made.body.recovery:
                visit.kept.invitations.keep(session, made)
                return _page(visit, **_asked(visit, made))
            steward.change_stewards(made.body)
            return _page(visit, invited=made)
        made = visit.kept.invitations.find(session, form.value("invitation"))
        again = _asked(visit, made)
        by, signed = signer(visit)
        by.change_stewards(made.body.model_copy(update={"by": by.by, "signed": signed}))
        visit.kept.invitations.drop(session, made.body.invitation)
        return _page(visit, invited=made)
    except (BadInput, Refused) as error:
        return _wrong(visit, FIELD if is_signed(visit) else "name", error, **again)


def _new_invitation(visit: Visit) -> Invitation:
    """Raises BadInput without a name, and for a recovery without a reason."""
    service, form = visit.parts.service, visit.form
    name, reason = form.value("name"), form.value("reason")
    recovery = form.value("recovery") == "yes"
    if not name:
        raise BadInput("nobody is named", instead="write the name that the ledger will have")
    if recovery and not reason:
        raise BadInput("no reason is given", instead="write why every key is lost")
    code = Token.new(Role.STEWARD, service.entropy)
    body = StewardInvited(
        name=name,
        invitation=code.signing_key.public.text,
        expires=instant_text(service.clock() + LIFETIME),
        recovery=recovery,
        by=visit.session.member,
        reason=reason,
    )
    return Invitation(body, code)


def _asked(visit: Visit, made: Invitation) -> dict[str, Any]:
    hidden = [("invitation", made.body.invitation)]
    return _sign(visit, made.body.word, "/console/people/invite", hidden)


def _sign(visit: Visit, word: dict[str, Any], to: str, hidden: list[Any]) -> dict[str, Any]:
    return {"sign": to_sign(visit, word), "sign_to": to, "hidden": hidden}


def join(visit: Visit) -> Response:
    """Enter the key of a steward who redeemed an invitation somewhere else."""
    steward = visit.changing()
    try:
        steward.change_stewards(parse_joined(visit.form.value("joined")))
    except (BadInput, Refused) as error:
        return _wrong(visit, "joined", error)
    return go("/console/people")


def end(visit: Visit) -> Response:
    """A steward's key counts no more, by another's signature."""
    visit.changing()
    form = visit.form
    key, reason = form.value("key"), form.value("reason")
    hidden = [("key", key), ("reason", reason)]
    asked = _sign(visit, end_word(key, reason), "/console/people/end", hidden)
    try:
        if not reason:
            raise BadInput("no reason is given", instead="write why: they left, or lost it")
        if not is_signed(visit):
            return _page(visit, **asked)
        by, signed = signer(visit)
        by.change_stewards(StewardEnded(key=key, by=by.by, reason=reason, signed=signed))
    except (BadInput, Refused) as error:
        field = FIELD if is_signed(visit) else f"end-{key}"
        return _wrong(visit, field, error, **(asked if is_signed(visit) else {}))
    return go("/console/people")


def leaving(visit: Visit) -> Response:
    """What happens when the organisation leaves."""
    return _leaving(visit)


def leave(visit: Visit) -> Response:
    """Leave for good, once the node's name was written."""
    steward, form = visit.changing(), visit.form
    if form.value("name") != visit.parts.service.node:
        wrong = N_("This is not the node's name. Write it as it is written above the field.")
        return _leaving(visit, 422, form=form.with_wrong("name", wrong))
    try:
        steward.leave(form.value("reason"))
    except BadInput as wrong:
        return _leaving(visit, 422, form=form.with_wrong("reason", str(wrong)))
    except Refused as refused:
        told = form.with_trouble(in_words(refused), refused.code.value)
        return _leaving(visit, 409, form=told)
    return go("/console/people/leave")


def _leaving(visit: Visit, status: int = 200, **more: Any) -> Response:
    state = visit.parts.service.ledger.state
    return visit.page(
        "leave.html",
        status,
        node=visit.parts.service.node,
        leaving=state.leaving,
        running=len(state.plans),
        **more,
    )


def _wrong(visit: Visit, field: str, error: BadInput | Refused, **more: Any) -> Response:
    form = visit.form
    if isinstance(error, BadInput):
        return _page(visit, 422, form=form.with_wrong(field, str(error)), **more)
    told = form.with_wrong(field, in_words(error)).with_trouble(in_words(error), error.code.value)
    return _page(visit, 409, form=told, **more)


def _page(visit: Visit, status: int = 200, **more: Any) -> Response:
    steward, service = visit.steward, visit.parts.service
    state, now = service.ledger.state, instant_text(service.clock())
    every = steward.stewards()
    former = sorted(PublicKey.from_text(key).fingerprint for key in state.former_stewards)
    return visit.page(
        "people.html",
        status,
        stewards=[each | {"counts": each["since"] <= now} for each in every if each["key"]],
        invited_before=[each for each in every if not each["key"]],
        former=former,
        needed=service.policy.rules.approvers,
        fingerprint=service.key.public.fingerprint,
        backups=steward.backups()[::-1],
        backup_days=BACKUP_DAYS,
        steps=steward.doctor(),
        **{"sign": None, "sign_to": "", "hidden": [], "invited": None, **more},
    )
