"""`cairn-node`: everything an organisation's IT person and steward need, on one page of help.

Data goes to standard output, progress to standard error. Exit codes: 0 done, 1 a bug, 2 wrong
input, 3 refused, 6 verification failed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from node.consent_cli import add_consent_commands
from node.evidence_cli import add_evidence_commands
from node.home import Home
from node.link_cli import link_app
from node.steward_cli import sign, steward_app
from node.steward_keys import signing_hand
from node.steward_link import hand
from node.study_cli import STEWARD, By, Key, add_study_commands, exit_codes, read_text, show
from node.upkeep_cli import add_upkeep_commands
from privacy.errors import VerificationFailed

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # their frames would show keys and members' values
    help=__doc__,
)

Dir = Annotated[Path, typer.Option("--dir", envvar="CAIRN_NODE", help="The node's folder.")]
HERE = Path()


@app.command()
def init(
    invite: Annotated[Path, typer.Option(help="The invite file from the coordinator.")],
    dir: Dir = HERE,  # noqa: A002 - the option's name
    yearly_epsilon: Annotated[str, typer.Option(help="Budget for all questions of a year.")] = "3",
    max_drop: Annotated[int, typer.Option(help="How many nodes a question may lose.")] = 0,
    policy: Annotated[
        Path | None, typer.Option(help="A policy.toml; it goes before the two above.")
    ] = None,
) -> None:
    """Create a node in this folder and join the network."""
    from node.joining import join, read_invite
    from node.program import utc_now

    with exit_codes():
        written = "" if policy is None else read_text(policy)
        fingerprint = join(
            Home(dir),
            read_invite(invite),
            yearly_epsilon,
            max_drop=max_drop,
            policy_text=written,
            entropy=os.urandom,
            clock=utc_now,
        )
        print(f"joined; your fingerprint, to be read to the other organisations:\n{fingerprint}")


@app.command(name="import")
def import_(folder: Path, dir: Dir = HERE) -> None:  # noqa: A002
    """Replace all records by the files in FOLDER, or change nothing and say why."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.import_data(folder))


@app.command()
def check(folder: Path, dir: Dir = HERE) -> None:  # noqa: A002
    """Say what an import of FOLDER would do, without changing anything."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.check_data(folder))


@app.command()
def start(dir: Dir = HERE) -> None:  # noqa: A002
    """Run the node until it is stopped with Ctrl-C or SIGTERM."""
    from node.program import run

    with exit_codes():
        run(dir)


@app.command()
def console(
    dir: Dir = HERE,  # noqa: A002
    by: Annotated[str, typer.Option(help="Your name, for the ledger.")] = "steward",
) -> None:
    """A link to the running node's console, which opens once, in a browser on this machine."""
    home = Home(dir)
    with exit_codes(), hand(home, by) as node:
        settings = home.settings()
        print(f"http://{settings.host}:{settings.port}{node.console()}")


@app.command()
def pause(dir: Dir = HERE) -> None:  # noqa: A002
    """Answer no more questions until resumed."""
    with exit_codes(), hand(Home(dir)) as node:
        node.pause()
        print("paused")


@app.command()
def resume(dir: Dir = HERE) -> None:  # noqa: A002
    """Answer questions again."""
    with exit_codes(), hand(Home(dir)) as node:
        node.resume()
        print("running")


@app.command()
def status(dir: Dir = HERE) -> None:  # noqa: A002
    """How the node is: state, last contact, budget."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.status())


@app.command()
def promise(dir: Dir = HERE) -> None:  # noqa: A002
    """What members are promised: a period and a life, in words, epsilon and odds."""
    with exit_codes(), hand(Home(dir)) as node:
        found = node.promise()
        print("\n\n".join(found["words"]))
        print("\nperiods  organisations  epsilon  in odds")
        for each in found["losses"]:
            places, epsilon = each["organisations"], each["shown"]
            print(f"{each['periods']:>7}  {places:>13}  {epsilon:>7}  {each['sentence']}")


@app.command()
def ledger(
    dir: Dir = HERE,  # noqa: A002
    start: Annotated[int, typer.Option(min=0)] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    verify: Annotated[bool, typer.Option(help="Read it all again and check it.")] = False,
) -> None:
    """Show what the ledger says, or verify it from the first entry to the last."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.verify() if verify else node.ledger(start, start + limit))


@app.command()
def left(
    dir: Dir = HERE,  # noqa: A002
    compare: Annotated[
        bool, typer.Option("--compare", help="With what the coordinator stored of each.")
    ] = False,
) -> None:
    """What left this building: sentence, bytes, hash and cost of every answer."""
    with exit_codes(), hand(Home(dir)) as node:
        listed = node.left_the_building(compare)
        show(listed)
        changed = [each["seq"] for each in listed if each.get("stored") == "other"]
        if changed:
            raise VerificationFailed(
                "the coordinator stored other bytes than left", where=f"entries {changed}"
            )


@app.command()
def rosters(dir: Dir = HERE) -> None:  # noqa: A002
    """The network's members with their fingerprints, to be compared by telephone."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.rosters())


@app.command()
def confirm(digest: str, fingerprints: list[str], dir: Dir = HERE) -> None:  # noqa: A002
    """Pin a roster with the FINGERPRINTS that you compared with the other organisations."""
    with exit_codes(), hand(Home(dir)) as node:
        node.confirm(digest, fingerprints)
        print("confirmed")


@app.command()
def score(
    model: Annotated[Path, typer.Argument(help="A saved model, with its .json beside it.")],
    out: Annotated[Path, typer.Option(help="A new .csv file, which stays here.")],
    dir: Dir = HERE,  # noqa: A002
    horizon: Annotated[float | None, typer.Option(help="Of hazards: risks by this time.")] = None,
) -> None:
    """Score this organisation's own members with a released model. Nothing is sent."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.score(model, out, horizon))


@app.command()
def publish(dir: Dir = HERE) -> None:  # noqa: A002
    """Copy the records again to the database that the node computes on, if it has one."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.publish())


@app.command(name="open-period")
def open_period(
    dir: Dir = HERE,  # noqa: A002
    key: Key = None,
    by: By = STEWARD,
) -> None:
    """Open the next year's budget, once the current period is over; a steward signs it.

    Until a steward joins with a key of their own, the key in the node's folder signs.
    """
    from node.program import utc_now

    home = Home(dir)
    with exit_codes(), signing_hand(home, by, key or home.steward_file, utc_now) as (node, sign):
        word = node.next_period()
        node.open_period(str(word["starts"]), sign(word))
        print(f"opened until {word['ends']}")


add_study_commands(app)
add_consent_commands(app)
add_upkeep_commands(app)
app.add_typer(steward_app, name="steward")
app.command()(sign)
add_evidence_commands(app)
app.add_typer(link_app, name="link")


def main() -> None:
    """The command `cairn-node`."""
    app()
