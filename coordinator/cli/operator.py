"""`cairn-coordinator`: found a network, invite organisations and people, propose studies, run.

Data goes to standard output. Exit codes: 0 done, 1 a bug, 2 wrong input, 3 refused, 6
verification failed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from coordinator import operate
from coordinator.bridge_socket import BridgeSocket
from coordinator.home import Home, Settings
from coordinator.linking import STEP_SECONDS, linkage_json, new_session
from coordinator.login.resets import RESET_LIFETIME, new_reset_code
from coordinator.own_key import rotate_key as change_key
from coordinator.people import revoke as shut_out
from coordinator.store.accounts import ResetKind
from coordinator.store.events import OPERATOR
from coordinator.store.facts import LinkageState
from coordinator.store.store import Store
from coordinator.study_file import load_study_file
from models.dictionary_file import load_dictionary
from privacy.contract.canonical import canonical_bytes
from privacy.contract.shown import printable
from privacy.contract.signing import PublicKey
from privacy.contract.study import Investigator, Study
from privacy.contract.time import instant_text
from privacy.contract.token import Role
from privacy.errors import BadInput, CairnError, Code, Refused, VerificationFailed

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # their frames would show keys and members' values
    help=__doc__,
)

Dir = Annotated[Path, typer.Option("--dir", envvar="CAIRN_COORDINATOR", help="Its folder.")]
HERE = Path()
LINK_SECONDS = 6 * STEP_SECONDS
ROLES = ", ".join(Role)
_INVESTIGATORS_RULE = "write investigators = […] in the file, or pass --investigator KEY"


_CODES = {BadInput: 2, Refused: 3, VerificationFailed: 6}


@contextmanager
def _exit_codes() -> Iterator[None]:
    try:
        yield
    except CairnError as error:
        print(printable(f"cairn-coordinator: {error}"), file=sys.stderr)
        raise typer.Exit(_CODES.get(type(error), 1)) from None


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[Home, Settings, Store]]:
    home = Home(folder)
    settings = home.settings()
    store = Store.open(home.database_url(settings))
    try:
        yield home, settings, store
    finally:
        store.close()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read as UTF-8 text", where=str(path)) from None


@app.command()
def init(
    network: Annotated[str, typer.Argument(help="A short name: letters, digits, hyphens.")],
    dictionary: Annotated[Path, typer.Option(help="dictionary.toml")],
    dir: Dir = HERE,  # noqa: A002 - the option's name
    host: Annotated[list[str] | None, typer.Option(help="Names nodes reach it by.")] = None,
    public_url: Annotated[str, typer.Option(help="Where people and nodes find the API.")] = "",
    fleet_address: Annotated[str, typer.Option(help="host:port that nodes connect to.")] = "",
    one_in: Annotated[int, typer.Option(help="delta is 1 / this number.")] = 1_000_000,
    database: Annotated[str, typer.Option(help="PostgreSQL's address; else SQLite here.")] = "",
) -> None:
    """Found a network in this folder: keys, certificates, database."""
    with _exit_codes():
        settings = Settings(
            network=network,
            public_url=public_url,
            fleet_address=fleet_address,
            database=database,
        )
        hosts = host or ["127.0.0.1", "localhost"]
        meaning = load_dictionary(_read(dictionary), str(dictionary))
        delta = Fraction(1, one_in)
        store = operate.found_network(
            Home(dir), settings, meaning, delta, hosts, entropy=os.urandom, now=_now()
        )
        store.close()
        fingerprint = Home(dir).identity().public.fingerprint
        print(f"founded; the coordinator's fingerprint:\n{fingerprint}")


@app.command()
def start(dir: Dir = HERE) -> None:  # noqa: A002
    """Run the coordinator until it is stopped with Ctrl-C or SIGTERM."""
    from coordinator.web import run

    with _exit_codes():
        run(dir)


@app.command()
def invite(
    name: Annotated[str, typer.Argument(help="The organisation's or the person's name.")],
    dir: Dir = HERE,  # noqa: A002
    role: Annotated[str, typer.Option(help=f"node, {ROLES}")] = "node",
    out: Annotated[Path | None, typer.Option(help="Where to write a node's invite file.")] = None,
) -> None:
    """Invite an organisation (one file for `cairn-node init`) or a person (one code)."""
    with _exit_codes(), _opened(dir) as (home, settings, store):
        if role != "node":
            _invite_person(store, name, _role(role))
            return
        made = operate.invite_node(home, settings, store, name, entropy=os.urandom, now=_now())
        if out is None:
            print(made.to_text(), end="")
        else:
            out.write_text(made.to_text(), "utf-8")
            out.chmod(0o600)
            print(f"written to {out}; send it over a safe channel, it works once")


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise BadInput(f"no role {text!r}", instead=f"node, {ROLES}") from None


def _invite_person(store: Store, name: str, role: Role) -> None:
    code = f"cairn_i_{os.urandom(24).hex()}"
    store.people.invite(code, role, name, _now(), operate.INVITATION_LIFETIME)
    print(code)


@app.command()
def nodes(dir: Dir = HERE) -> None:  # noqa: A002
    """The nodes that joined, with state, last contact and fingerprint."""
    with _exit_codes(), _opened(dir) as (_, _, store):
        admitted = {node.id for node in store.network.roster.nodes}
        shown = [
            {
                "id": node.id,
                "name": node.name,
                "state": node.state.value,
                "last_contact": node.last_contact,
                "in_roster": node.id in admitted,
                "fingerprint": PublicKey.from_text(node.key).fingerprint,
            }
            for node in store.nodes.all()
        ]
        print(json.dumps(shown, indent=2))


@app.command()
def admit(dir: Dir = HERE) -> None:  # noqa: A002
    """Sign a new roster with every node that has joined; stewards then compare fingerprints."""
    with _exit_codes(), _opened(dir) as (home, _, store):
        roster = operate.admit_joined(store, home.identity())
        print(f"roster of epoch {roster.epoch}, {len(roster.nodes)} nodes: {roster.digest}")


@app.command()
def propose(
    study_file: Annotated[Path, typer.Argument(help="study.toml")],
    investigator: Annotated[
        list[str] | None,
        typer.Option(help="A researcher's public key, where the file names no investigators."),
    ] = None,
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Sign the studies of a file and offer them to every node for approval."""
    with _exit_codes(), _opened(dir) as (home, _, store):
        named = {person.public_key: person.name for person in store.people.all()}
        usual = tuple(_investigator(key, named) for key in investigator or ())
        read = load_study_file(_read(study_file), str(study_file), _now().date())
        digest = store.network.dictionary.digest
        for study in read.study_facts(digest, usual):
            if not study.investigators:
                raise BadInput(
                    "no investigators", where=f"study {study.id!r}", instead=_INVESTIGATORS_RULE
                )
            _propose(store, home, study)
            print(f"{study.id} version {study.version}: {study.digest}")


@app.command()
def link(
    nodes: Annotated[list[str], typer.Argument(help="Three or more ids, as `nodes` shows them.")],
    field: Annotated[list[str], typer.Option(help="An identifier, as members.name; repeat it.")],
    ends: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The last day it holds.")],
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Link the members of organisations that agreed to it, so that each person counts once."""
    with _exit_codes(), _opened(dir) as (home, _, store):
        envelope = new_session(
            store,
            home.identity(),
            tuple(nodes),
            tuple(field),
            ends.date(),
            now=_now(),
            entropy=os.urandom,
        )
        BridgeSocket(home.socket_file, store).link(envelope.digest, LINK_SECONDS)
        facts = store.linkages.get(envelope.digest)
        if facts.state is LinkageState.FAILED:
            raise Refused(Code(facts.code))
        print(f"{facts.state.value}: {facts.digest}")


@app.command()
def linkages(dir: Dir = HERE) -> None:  # noqa: A002
    """Every linkage, oldest first: who, by what, until when, and what became of it."""
    with _exit_codes(), _opened(dir) as (_, _, store):
        print(json.dumps([linkage_json(each) for each in store.linkages.all()], indent=2))


@app.command(name="rotate-tls")
def rotate_tls(
    dir: Dir = HERE,  # noqa: A002
    authority: Annotated[
        Path | None,
        typer.Option(help="A new authority as well; what nodes are told of it goes to this file."),
    ] = None,
) -> None:
    """Take a new certificate for the link to the nodes, once a year. The coordinator is stopped."""
    from coordinator.tls_rotation import renew_authority, renew_server

    with _exit_codes(), _opened(dir) as (home, settings, store):
        _check_stopped(home, store)
        if authority is None:
            renew_server(home, _now())
            print("changed; nodes have nothing to do")
            return
        told = renew_authority(home, settings.network, _now())
        authority.write_bytes(canonical_bytes(told.to_json()) + b"\n")
        print(f"changed; every node takes it: cairn-node take-authority {authority}")


def _check_stopped(home: Home, store: Store) -> None:
    if BridgeSocket(home.socket_file, store).there:
        raise BadInput("the coordinator is running", where=str(home.root), instead="stop it first")


@app.command(name="rotate-key")
def rotate_key(
    dir: Dir = HERE,  # noqa: A002
    reason: Annotated[str, typer.Option(help="Why, in words for everybody.")] = "",
    lost: Annotated[
        bool, typer.Option("--lost", help="The old key is lost or stolen: every steward decides.")
    ] = False,
) -> None:
    """Take a new key, signed by the old one. The coordinator is stopped."""
    with _exit_codes(), _opened(dir) as (home, _, store):
        _check_stopped(home, store)
        change = change_key(home, store, lost=lost, reason=reason, entropy=os.urandom, now=_now())
        print(f"changed; the coordinator's new fingerprint:\n{change.new_key.fingerprint}")
        if not change.signed:
            print(_TELL_STEWARDS, file=sys.stderr)


_TELL_STEWARDS = """The old key did not sign this one, so no node follows it by itself. Tell every
organisation's steward the fingerprint, by telephone or in person; each of them runs
`cairn-node accept-coordinator --key FINGERPRINT --reason …`."""


@app.command(name="close-study")
def close_study(study: str, dir: Dir = HERE) -> None:  # noqa: A002
    """End a study for its investigators: no question of it is answered any more."""
    with _exit_codes(), _opened(dir) as (home, _, store):
        operate.close_study(store, home.identity(), study, now=_now())
        print("closed")


def _investigator(text: str, named: Mapping[str, str]) -> Investigator:
    try:
        return Investigator(key=PublicKey.from_text(text).text, name=named.get(text, ""))
    except BadInput:
        raise BadInput(
            f"{text!r} is no public key",
            where="investigator",
            instead="`cairn-coordinator people` shows the researchers' keys",
        ) from None


def _propose(store: Store, home: Home, study: Study) -> None:
    try:
        operate.propose(store, home.identity(), study, now=_now())
    except Refused:
        raise BadInput(
            f"version {study.version} was proposed with another text",
            where=f"study {study.id!r}",
            instead=f"write version = {study.version + 1}",
        ) from None


@app.command()
def people(dir: Dir = HERE) -> None:  # noqa: A002
    """Everybody who was let in: id, name, role, login, public key, whether revoked."""
    with _exit_codes(), _opened(dir) as (_, _, store):
        logins = store.accounts.logins()
        shown = [
            {**vars(person), "role": person.role.value, "login": logins.get(person.id)}
            for person in store.people.all()
        ]
        print(json.dumps(shown, indent=2))


@app.command()
def revoke(person: str, dir: Dir = HERE) -> None:  # noqa: A002
    """Shut a person out for good, by id: here at once, at the nodes with their next contact."""
    with _exit_codes(), _opened(dir) as (home, _, store):
        listed = shut_out(store, home.identity(), person, instant_text(_now()))
        keys = 0 if listed is None else len(listed.keys)
        print(f"revoked; {keys} revoked keys in all")


@app.command()
def reset(
    person: Annotated[str, typer.Argument(help="The person's id, as `people` shows it.")],
    lost: Annotated[ResetKind, typer.Option(help="What the person lost; the other is needed.")],
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Let a person replace a lost password or second factor: a code that works once, for a day."""
    with _exit_codes(), _opened(dir) as (_, _, store):
        code = new_reset_code(os.urandom)
        store.accounts.allow_reset(code, person, lost, OPERATOR, _now(), RESET_LIFETIME)
        print(code)


@app.command()
def bundle(
    archive: Annotated[Path, typer.Argument(help="A new file, for instance bundle.tar.gz.")],
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Write the audit bundle to a file, for an auditor without a token: what they would pull."""
    with _exit_codes(), _opened(dir) as (home, _, store):
        operate.hand_over_bundle(home, store, archive, _now())
        print(archive)


@app.command()
def events(
    dir: Dir = HERE,  # noqa: A002
    after: Annotated[int, typer.Option(help="Only events with a higher number.")] = 0,
) -> None:
    """Who invited, entered, was revoked or reset, and by whom, oldest first."""
    with _exit_codes(), _opened(dir) as (_, _, store):
        for event in store.people_events.all(after):
            print(json.dumps(vars(event)))


@app.command()
def check(dir: Dir = HERE) -> None:  # noqa: A002
    """Is everything here whole? After a restore, and whenever in doubt."""
    from coordinator.checking import check_store

    with _exit_codes(), _opened(dir) as (home, _, store):
        found = check_store(home, store, _now())
        print(json.dumps([vars(each) for each in found], indent=2))
        if any(each.fault for each in found):
            raise VerificationFailed("something is missing or was changed")


def main() -> None:
    """The command `cairn-coordinator`."""
    app()
