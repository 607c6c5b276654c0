"""`cairn-node`'s commands that keep a node: backup, restore, upgrade."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from node.home import Home, write_private
from node.steward_link import hand, is_running
from node.study_cli import HERE, STEWARD, By, Dir, exit_codes, read_text, show
from privacy.contract.shown import printable
from privacy.contract.signing import PublicKey
from privacy.contract.time import instant_text
from privacy.errors import BadInput
from privacy.sealed_file import check_passphrase

Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="A file with the passphrase; without, it is asked."),
]


def add_upkeep_commands(app: typer.Typer) -> None:
    """Add every command of this module to `cairn-node`."""
    for name, command in (
        ("new-passphrase", new_passphrase),
        ("backup", backup),
        ("backups", backups),
        ("restore", restore),
        ("upgrade", upgrade),
        ("rotate-key", rotate_key),
        ("take-authority", take_tls_authority),
        ("leave", leave),
        ("doctor", doctor),
    ):
        app.command(name)(command)


def new_passphrase(file: Annotated[Path, typer.Argument(help="A new file.")]) -> None:
    """Make a passphrase for backups. Print the file, and keep it away from this machine."""
    with exit_codes():
        if file.exists():
            raise BadInput("is there already", where=str(file))
        digits = os.urandom(20).hex()
        words = "-".join(digits[i : i + 5] for i in range(0, len(digits), 5))
        write_private(file, words.encode() + b"\n")
        print(f"written to {file}: without it no backup can be opened")


def backup(
    file: Annotated[Path, typer.Argument(help="A new file.")],
    dir: Dir = HERE,  # noqa: A002 - the option's name
    passphrase_file: Passphrase = None,
    by: By = STEWARD,
) -> None:
    """Write the node's folder into one file under a passphrase, while it runs or not."""
    with exit_codes(), hand(Home(dir), by) as node:
        show(node.backup(file, _passphrase(passphrase_file)))


def backups(dir: Dir = HERE) -> None:  # noqa: A002
    """Every backup that was made; whoever was erased since is still in it."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.backups())


def restore(
    file: Annotated[Path | None, typer.Argument(help="The backup. None: finish one.")] = None,
    dir: Dir = HERE,  # noqa: A002
    passphrase_file: Passphrase = None,
    by: By = STEWARD,
) -> None:
    """Put a backup in place of the node's folder, or make the folder on a new machine."""
    from node.program import utc_now
    from node.restore import finish_restore
    from node.restore import restore as put_back

    with exit_codes():
        home = Home(dir)
        _check_stopped(home)
        if file is None:
            finish_restore(home)
            print("finished")
            return
        done = put_back(home, file, _passphrase(passphrase_file), by=by, clock=utc_now)
        show(vars(done))
        print(_AFTER.format(at=done.made_at), file=sys.stderr)


_AFTER = """Start the node. It first takes back what its ledger said since {at}, and answers once
its peers have confirmed that nothing is missing. Import the records again; then record again what
members said here since {at}, and erase again who was erased since."""


def upgrade(
    backup_to: Annotated[Path, typer.Option("--backup", help="A new file: a backup is first.")],
    dir: Dir = HERE,  # noqa: A002
    passphrase_file: Passphrase = None,
) -> None:
    """Bring the folder's stores up to this program, after a backup. The node is stopped."""
    from node.program import utc_now
    from node.upgrade import upgrade as bring_up

    with exit_codes():
        home = Home(dir)
        _check_stopped(home)
        secret = _passphrase(passphrase_file)
        done = bring_up(home, backup_to, secret, entropy=os.urandom, now=utc_now())
        at = instant_text(utc_now())
        show([{"store": each.store, "from": each.found, "to": each.current} for each in done])
        print(f"{at}: {len(done)} stores upgraded", file=sys.stderr)


def rotate_key(
    invite: Annotated[Path, typer.Option(help="An invite file from the coordinator.")],
    dir: Dir = HERE,  # noqa: A002
    reason: Annotated[str, typer.Option(help="Why, in words for everybody.")] = "",
    by: By = STEWARD,
) -> None:
    """Take new keys for the node, signed by the old one. The node is stopped."""
    from node.joining import read_invite
    from node.program import utc_now
    from node.rotation import rotate_keys

    with exit_codes():
        home = Home(dir)
        _check_stopped(home)
        fingerprint = rotate_keys(
            home, read_invite(invite), by=by, reason=reason, entropy=os.urandom, clock=utc_now
        )
        print(f"changed; the node's new fingerprint, for the next roster:\n{fingerprint}")


def take_tls_authority(
    file: Annotated[Path, typer.Argument(help="What the coordinator's operator sent.")],
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Trust the coordinator's new certificate authority, which its key has to have signed."""
    from node.tls_authority import take_authority

    with exit_codes():
        told = read_text(file)
        with hand(Home(dir)) as node:
            key = PublicKey.from_text(str(node.coordinator()["key"]))
        print(f"trusted from the next start on:\n{take_authority(Home(dir), told, key)}")


def leave(
    name: Annotated[str, typer.Argument(help="The node's id, to be sure.")],
    dir: Dir = HERE,  # noqa: A002
    reason: Annotated[str, typer.Option(help="Why, in words for everybody.")] = "",
    by: By = STEWARD,
) -> None:
    """Leave the network for good: what runs ends, nothing new is answered, the ledger is closed."""
    with exit_codes(), hand(Home(dir), by) as node:
        if name != Home(dir).settings().node:
            raise BadInput("is not this node", where=name, instead="write its id")
        show(node.leave(reason))


def doctor(
    dir: Dir = HERE,  # noqa: A002
    as_json: Annotated[bool, typer.Option("--json", help="As data.")] = False,
) -> None:
    """What is left to do at this node, each with the command that does it."""
    with exit_codes(), hand(Home(dir)) as node:
        found = node.doctor()
        if as_json:
            show(found)
            return
        for each in found:
            print(printable(f"{'✓' if each['done'] else '·'} {each['what']}"))
            if each["command"]:
                print(f"    {each['command']}")


def _check_stopped(home: Home) -> None:
    if is_running(home):
        raise BadInput("the node is running", where=str(home.root), instead="stop it first")


def _passphrase(file: Path | None) -> str:
    if file is not None:
        return check_passphrase(read_text(file))
    return check_passphrase(getpass.getpass("Passphrase of the backup: "))
