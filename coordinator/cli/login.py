"""Signing in and out at the command line, and accounts: nothing secret is an argument."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from coordinator.cli.connection import Connection, connection_of
from coordinator.cli.outcome import outcome
from coordinator.cli.output import say
from coordinator.client.errors import Refused
from coordinator.client.network import Network
from coordinator.client.session import KeptSession
from coordinator.client.signing_in import DeviceCode, by_device, by_password, settle
from coordinator.client.transport import Transport
from privacy.contract.token import Role
from privacy.errors import BadInput, Code

account_app = typer.Typer(no_args_is_help=True, help="An account at the coordinator.")

_LOOK_SECONDS = 2.0  # between two looks at what pages ask for
_KEY_WORDS = {
    "made": "made a key to sign with, which stays on this machine",
    "here": "the key you sign with is on this machine",
    "elsewhere": "the key you sign with is on another machine: bring its token as CAIRN_TOKEN",
    "": "",
}


def login(
    context: typer.Context,
    local: Annotated[bool, typer.Option("--local", help="With an account here.")] = False,
    invited: Annotated[
        bool, typer.Option("--invited", help="The first time: with CAIRN_INVITATION, or typed in.")
    ] = False,
) -> None:
    """Sign in: through the identity provider in any browser, or with an account here."""
    with outcome():
        connection = connection_of(context)
        kept = _kept(connection)
        with _explained():
            if local or not _provider(connection):
                said = by_password(connection.address, _ca(connection), *_proof())
            else:
                invitation = _secret("CAIRN_INVITATION", "Invitation") if invited else None
                said = by_device(connection.address, _ca(connection), invitation, _show)
        about_key = settle(kept, said, os.urandom)
        person = said["person"]
        say(f"signed in as {person['name']}, {person['role']}")
        if _KEY_WORDS[about_key]:
            print(_KEY_WORDS[about_key])


def browser(
    context: typer.Context,
    stay: Annotated[
        bool | None,
        typer.Option("--stay/--once", help="Answer what the pages ask; usual on a terminal."),
    ] = None,
) -> None:
    """Sign a browser in as you: prints a link that opens once, within ten minutes.

    On a terminal it stays: when a page wants leave to ask in your name, or a study closed or
    published, it says what for, and signs it here if you confirm. Ctrl-C ends it; what was given
    holds on.
    """
    with outcome(), connection_of(context).network() as net:
        if not isinstance(net, Network):
            raise BadInput("made-up members have no pages", where="--mock")
        print(net.browser_link(), flush=True)
        asks = net.me()["role"] == Role.RESEARCHER.value
        if asks and (sys.stdin.isatty() if stay is None else stay):
            _say("What your pages ask for is shown here. Ctrl-C ends this.")
            with suppress(KeyboardInterrupt):
                _answering(net)


def _answering(net: Network) -> None:
    """Show every request of the pages, and sign those that the person confirms."""
    while True:
        for leave in net.leave_asked():
            _say(leave.words)
            if typer.confirm("Let them?", err=True):
                net.give_leave(leave)
                _say("given")
            else:
                net.refuse_leave(leave)
                _say("refused")
        for step in net.steps_asked():
            _say(step.words)
            if typer.confirm("Sign it?", err=True):
                _say(f"signed; the study is {net.take_step(step)}")
            else:
                net.refuse_step(step)
                _say("refused")
        time.sleep(_LOOK_SECONDS)


def logout(
    context: typer.Context,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="On all machines.")] = False,
) -> None:
    """End the session here, or all of them; the key that signs stays where it is."""
    with outcome():
        connection = connection_of(context)
        kept = _kept(connection)
        if kept.exists:
            transport = Transport(connection.address, kept.bearer, _ca(connection))
            transport.post("/v1/logout", {"everywhere": everywhere})
            kept.forget()
        print("signed out")


@account_app.command("create")
def create(context: typer.Context) -> None:
    """Make an account of an invitation: login, password, second factor. Prints recovery codes."""
    with outcome(), _explained():
        transport = _open(context)
        code = _secret("CAIRN_INVITATION", "Invitation")
        name = typer.prompt("Login", err=True)
        offer = transport.post("/v1/accounts/offer", {"code": code, "login": name})
        password = _new_password()
        asked = {"code": code, "login": name, "password": password, **_factor(offer)}
        _print_codes(transport.post("/v1/accounts", asked))


@account_app.command("replace-password")
def replace_password(context: typer.Context) -> None:
    """Set a new password with an administrator's code and your second factor."""
    with outcome(), _explained():
        asked = {
            "reset": _secret("CAIRN_RESET", "Reset code"),
            "login": typer.prompt("Login", err=True),
            "password": _new_password(),
            "code": typer.prompt("Code of the second factor", err=True),
        }
        _open(context).post("/v1/accounts/password", asked)
        print("the password was replaced; every session was ended")


@account_app.command("replace-factor")
def replace_factor(context: typer.Context) -> None:
    """Set up a new second factor with an administrator's code and your password."""
    with outcome(), _explained():
        transport = _open(context)
        reset = _secret("CAIRN_RESET", "Reset code")
        name = typer.prompt("Login", err=True)
        password = typer.prompt("Password", hide_input=True, err=True)
        offer = {"secret": _own_secret(), "uri": ""}
        asked = {"reset": reset, "login": name, "password": password, **_factor(offer)}
        _print_codes(transport.post("/v1/accounts/factor", asked))


@contextmanager
def _explained() -> Iterator[None]:
    """What the coordinator's two ways of saying no mean here; it says no more to anybody."""
    words = {
        Code.NOT_PERMITTED: "The invitation is unknown, used or expired.",
        Code.NOT_SIGNED_IN: "Login, password or code is wrong, or no longer good.",
    }
    try:
        yield
    except Refused as refused:
        if refused.code not in words:
            raise
        raise Refused(refused.code, words[refused.code]) from None


def _own_secret() -> str:
    from coordinator.login.second_factor import new_secret

    return new_secret(os.urandom)


def _factor(offer: dict[str, Any]) -> dict[str, str]:
    """Have the person put the secret into their program, and show that it is there."""
    _say("Put this into a program for six-digit codes:")
    _say(f"  {offer['uri'] or offer['secret']}")
    return {"secret": offer["secret"], "totp": typer.prompt("The code it shows", err=True)}


def _print_codes(said: dict[str, Any]) -> None:
    _say("Keep these recovery codes on paper; each works once instead of the telephone:")
    print("\n".join(said["recovery_codes"]))


def _new_password() -> str:
    made: str = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    return made


def _proof() -> tuple[str, str, str]:
    return (
        typer.prompt("Login", err=True),
        typer.prompt("Password", hide_input=True, err=True),
        typer.prompt("Code (six digits, or a recovery code)", err=True),
    )


def _secret(variable: str, prompt: str) -> str:
    text: str = os.environ.get(variable) or typer.prompt(prompt, hide_input=True, err=True)
    return text.strip()


def _show(code: DeviceCode) -> None:
    _say(f"Open {code.address} in any browser and enter {code.code}")
    if code.whole:
        _say(f"or open {code.whole}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _provider(connection: Connection) -> str | None:
    said = Transport(connection.address, None, _ca(connection)).get("/v1/login")["oidc"]
    return None if said is None else str(said)


def _kept(connection: Connection) -> KeptSession:
    if connection.address.startswith("mock:"):
        raise BadInput("made-up members have no accounts", where="url", instead="https://…")
    return KeptSession(connection.address, _ca(connection))


def _open(context: typer.Context) -> Transport:
    connection = connection_of(context)
    return Transport(connection.address, None, _ca(connection))


def _ca(connection: Connection) -> str | None:
    return None if connection.ca is None else str(connection.ca)
