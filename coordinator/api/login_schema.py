"""Requests and responses of signing in and of managing people. Secrets do not print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, StringConstraints

from coordinator.api.schema import Answer, Ask, NumberText, PersonView, Sha256, ShortText
from coordinator.login.sessions import CommandSession
from coordinator.store.accounts import ResetKind
from coordinator.store.events import Action, PeopleEvent
from privacy.contract.researcher_key import ResearcherKey

Secret = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Unprinted(Ask):
    """A request that holds a secret: it prints as its name alone."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ()


class SignInMethods(Answer):
    local: bool
    oidc: str | None = Field(description="The identity provider's name, if there is one.")


class SignInAsk(Unprinted):
    login: ShortText
    password: Secret
    code: Secret = Field(description="Six digits, or a recovery code.")
    web: bool = Field(default=False, description="A cookie instead of tokens.")


class RefreshAsk(Unprinted):
    refresh: Secret


class SessionView(Answer):
    """A session: tokens for a program; for a browser a cookie, and `csrf` for its pages."""

    person: PersonView | None = None
    access: str | None = Field(default=None, repr=False)
    refresh: str | None = Field(default=None, repr=False)
    access_expires: str | None = None
    expires: str
    csrf: str | None = Field(default=None, repr=False)

    @classmethod
    def of(cls, made: CommandSession, person: PersonView | None = None) -> Self:
        return cls(
            person=person,
            access=made.access,
            refresh=made.refresh,
            access_expires=made.access_expires,
            expires=made.expires,
        )


class SignOutAsk(Ask):
    everywhere: bool = False


class LinkView(Answer):
    path: str = Field(description="Of a page that opens a browser's session, once, within minutes.")


class SignedOut(Answer):
    sessions: int


class OfferAsk(Unprinted):
    code: Secret
    login: ShortText


class OfferView(Answer):
    """What an invited person enrols with: put `uri` into a program for codes."""

    name: str
    role: str
    secret: str = Field(repr=False)
    uri: str = Field(repr=False)


class AccountAsk(Unprinted):
    """Make an account of an invitation; `totp` is a code that the program shows now."""

    code: Secret
    login: ShortText
    password: Secret
    secret: Secret
    totp: Secret


class AccountView(Answer):
    person: PersonView
    recovery_codes: list[str] = Field(repr=False, description="Shown once; each works once.")


class PasswordAsk(Unprinted):
    """Replace a lost password: the reset code, and a code of the second factor."""

    reset: Secret
    login: ShortText
    password: Secret
    code: Secret


class FactorAsk(Unprinted):
    """Replace a lost second factor: the reset code, and the password."""

    reset: Secret
    login: ShortText
    password: Secret
    secret: Secret
    totp: Secret


class KeyAsk(Unprinted):
    """The public half of the key you sign with, and proof that you have the other half: an
    envelope of kind `key` that holds your id."""

    public_key: NumberText
    proof: dict[str, Any]


class KeyChangeAsk(Unprinted):
    """A new key to sign with, signed by the old one too; of a token, also its credential's hash."""

    change: ResearcherKey
    bearer_sha256: Sha256 | None = None


class PersonEntry(PersonView):
    created: str
    revoked_at: str | None
    login: str | None = None


class PeopleList(Answer):
    people: list[PersonEntry]


class ResetAsk(Ask):
    model_config = ConfigDict(strict=False)

    kind: ResetKind


class ResetView(Answer):
    code: str = Field(repr=False, description="Shown once; hand it over in person.")
    expires: str


class PeopleEventView(Answer):
    number: int
    at: str
    actor: str
    action: Action
    person: str
    detail: str

    @classmethod
    def of(cls, event: PeopleEvent) -> Self:
        return cls(**vars(event))


class PeopleEventList(Answer):
    events: list[PeopleEventView]


class DeviceAsk(Unprinted):
    invitation: Secret | None = None


class DeviceView(Answer):
    """Open the address in any browser and enter the code; ask again with `handle`."""

    handle: str = Field(repr=False)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    interval_seconds: int
    expires: str


class DevicePollAsk(Unprinted):
    handle: Secret


class DeviceAnswer(Answer):
    """`session` once the person has agreed; before that, ask again after `interval_seconds`."""

    session: SessionView | None = None
    interval_seconds: int | None = None
