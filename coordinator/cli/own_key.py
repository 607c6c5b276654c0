"""`cairn key`: the key that a researcher signs with."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.connection import Connection, connection_of
from coordinator.cli.outcome import outcome
from coordinator.cli.secrets import new_secret_file
from coordinator.client.errors import Refused
from coordinator.client.key_change import change_key
from coordinator.client.session import KeptSession
from privacy.contract.token import Token
from privacy.errors import BadInput

key_app = typer.Typer(no_args_is_help=True, help="The key that you sign with.")


@key_app.command("rotate")
def rotate(
    context: typer.Context,
    token_file: Annotated[
        Path | None, typer.Option("--write", help="A new file for the new token, if you have one.")
    ] = None,
) -> None:
    """Take a new key, signed by the old one: your studies go on, the old key asks nothing more."""
    with outcome():
        connection = connection_of(context)
        secret = connection.token()
        if secret:
            made = _with_token(connection, Token.parse(secret), token_file)
        else:
            made = _with_session(connection)
        print(f"changed; the fingerprint of your new key is\n{made.signing_key.public.fingerprint}")


def _with_token(connection: Connection, old: Token, file: Path | None) -> Token:
    """The new token is on disk before anybody hears of it."""
    if file is None:
        raise BadInput("nowhere to keep the new token", where="--write", instead="name a new file")
    made = Token.new(old.role, os.urandom)
    with new_secret_file(file) as written:
        written.write(made.text + "\n")
    try:
        now = datetime.now(UTC)
        change_key(connection.transport(), old, made, with_credential=True, now=now)
    except Refused:
        file.unlink()
        raise
    return made


def _with_session(connection: Connection) -> Token:
    """The key beside the session; asked again, the same new one."""
    kept = KeptSession(connection.address, None if connection.ca is None else str(connection.ca))
    old = kept.token()
    if old is None or not kept.exists:
        raise BadInput("no key to sign with is here", instead="bring its token as CAIRN_TOKEN")
    made = kept.next_token(os.urandom)
    now = datetime.now(UTC)
    change_key(connection.transport(), old, made, with_credential=False, now=now)
    kept.use_next()
    return made
