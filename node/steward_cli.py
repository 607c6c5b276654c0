"""`cairn-node steward`: who the stewards are, each with a key of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from node.home import Home
from node.signing_text import ToSign, joined_text
from node.steward_keys import LIFETIME, new_key_file, read_key_file, signing_hand
from node.steward_link import hand
from node.study_cli import HERE, STEWARD, By, Dir, Key, exit_codes, show
from privacy.contract.time import instant_text
from privacy.errors import BadInput, CairnError
from privacy.ledger.steward_entry import (
    StewardEnded,
    StewardInvited,
    StewardJoined,
    StewardKeyChanged,
    end_word,
)

steward_app = typer.Typer(no_args_is_help=True, help="Stewards, told apart by their keys.")


@steward_app.command("list")
def steward_list(dir: Dir = HERE) -> None:  # noqa: A002 - the option's name
    """Who may sign for this organisation, and who is invited."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.stewards())


@steward_app.command("invite")
def steward_invite(
    name: Annotated[str, typer.Argument(help="As the ledger will name them.")],
    out: Annotated[Path, typer.Option(help="A new file, which goes to them by a safe way.")],
    dir: Dir = HERE,  # noqa: A002
    key: Key = None,
    recovery: Annotated[bool, typer.Option(help="Every steward's key is lost.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for a recovery.")] = "",
    by: By = STEWARD,
) -> None:
    """Invite a steward: the file works once, for seven days."""
    from node.program import utc_now

    with exit_codes(), signing_hand(Home(dir), by, key, utc_now) as (node, sign):
        code = new_key_file(out, os.urandom)
        body = StewardInvited(
            name=name,
            invitation=code.signing_key.public.text,
            expires=instant_text(utc_now() + LIFETIME),
            recovery=recovery,
            by=node.by,
            reason=reason,
        )
        node.change_stewards(body.model_copy(update={"signed": sign(body.word)}))
        print(f"written to {out}; it works until {body.expires}")


@steward_app.command("join")
def steward_join(
    invitation: Annotated[Path, typer.Argument(help="The file you were sent.")],
    key: Annotated[Path, typer.Option(help="A new file for your key, which stays with you.")],
    dir: Dir = HERE,  # noqa: A002
    away: Annotated[bool, typer.Option(help="Not the node's machine: print it instead.")] = False,
) -> None:
    """Make your key and put it in the place of your invitation."""
    with exit_codes():
        invited = read_key_file(invitation)
        own = new_key_file(key, os.urandom).signing_key
        print(f"your key is in {key}, its fingerprint is {own.public.fingerprint}", file=sys.stderr)
        body = StewardJoined.of(invited, own)
        if away:
            print(joined_text(body))
            return
        try:
            with hand(Home(dir)) as node:
                node.change_stewards(body)
        except CairnError:
            key.unlink()
            raise
        invitation.unlink()
        print(f"joined\n{own.public.fingerprint}")


def sign(
    word: Annotated[str, typer.Argument(help="The line that the console shows.")],
    key: Annotated[Path, typer.Option(envvar="CAIRN_STEWARD_KEY", help="Your key.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Sign a word for the console, wherever your key is; the line printed goes back there."""
    from node.program import utc_now

    with exit_codes():
        asked = ToSign.parse(word)
        secret = read_key_file(key)
        for line in asked.lines:
            print(line, file=sys.stderr)
        if not yes and not typer.confirm("Sign it?", err=True):
            raise BadInput("nothing was signed")
        print(asked.signed(secret, utc_now()))


@steward_app.command("end")
def steward_end(
    fingerprint: Annotated[str, typer.Argument(help="Its beginning, as `list` shows it.")],
    key: Annotated[Path, typer.Option(help="A steward's key.")],
    reason: Annotated[str, typer.Option(help="Why: they left, or lost it.")],
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """A steward's key counts no more, from now on."""
    from node.program import utc_now

    with exit_codes(), signing_hand(Home(dir), STEWARD, key, utc_now) as (node, sign):
        found = [e["key"] for e in node.stewards() if e["fingerprint"].startswith(fingerprint)]
        if len(found) != 1:
            raise BadInput(f"{len(found)} keys begin so", where=fingerprint)
        signed = sign(end_word(found[0], reason))
        if signed is None:
            raise BadInput("needs a steward's key")
        node.change_stewards(StewardEnded(key=found[0], by=node.by, reason=reason, signed=signed))
        print("ended")


@steward_app.command("rotate")
def steward_rotate(
    key: Annotated[Path, typer.Option(help="Your key.")],
    new: Annotated[Path, typer.Option(help="A new file for the key that takes its place.")],
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Take a new key, signed by the old one."""
    with exit_codes(), hand(Home(dir)) as node:
        settings, old = Home(dir).settings(), read_key_file(key)
        made = new_key_file(new, os.urandom).signing_key
        try:
            node.change_stewards(StewardKeyChanged.of(old, made, settings.node, settings.network))
        except CairnError:
            new.unlink()
            raise
        print(f"changed; the fingerprint of your new key is\n{made.public.fingerprint}")
