"""`cairn-node`'s commands for studies, questions, policy and members' part in research."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from node.home import Home
from node.steward_link import hand
from privacy.contract.shown import printable, printable_lines
from privacy.errors import BadInput, CairnError, Refused, VerificationFailed
from privacy.ledger.steward_entry import decision_word, policy_word

Dir = Annotated[Path, typer.Option("--dir", envvar="CAIRN_NODE", help="The node's folder.")]
Key = Annotated[
    Path | None,
    typer.Option("--key", envvar="CAIRN_STEWARD_KEY", help="Your key, where one is asked for."),
]
By = Annotated[str, typer.Option("--by", envvar="CAIRN_STEWARD", help="Your name, for the ledger.")]
HERE = Path()
STEWARD = "steward"

policy_app = typer.Typer(no_args_is_help=True, help="What this organisation takes part in.")
members_app = typer.Typer(no_args_is_help=True, help="What members are shown, and what they say.")


@contextmanager
def exit_codes() -> Iterator[None]:
    """0 done, 1 a bug, 2 wrong input, 3 refused, 6 verification failed."""
    try:
        yield
    except CairnError as error:
        print(printable(f"cairn-node: {error}"), file=sys.stderr)
        raise typer.Exit(_exit_code(error)) from None


def _exit_code(error: CairnError) -> int:
    match error:
        case BadInput():
            return 2
        case Refused():
            return 3
        case VerificationFailed():
            return 6
        case _:
            return 1


def show(value: Any) -> None:
    """Data, on standard output; what others wrote in it cannot move the cursor."""
    print(printable_lines(json.dumps(value, indent=2, ensure_ascii=False)))


def add_study_commands(app: typer.Typer) -> None:
    """Add every command of this module to `cairn-node`."""
    for name, command in (
        ("studies", studies),
        ("decide", decide),
        ("review", review),
        ("requests", requests),
        ("answer-question", answer_question),
    ):
        app.command(name)(command)
    app.add_typer(policy_app, name="policy")
    app.add_typer(members_app, name="members")


def studies(dir: Dir = HERE) -> None:  # noqa: A002 - the option's name
    """Studies offered to this organisation, in words, with its decisions."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.studies())


def decide(
    digest: str,
    decision: Annotated[str, typer.Argument(help="approved, refused, asked or withdrawn")],
    dir: Dir = HERE,  # noqa: A002
    reason: Annotated[str, typer.Option(help="Why; or what is asked back.")] = "",
    by: By = STEWARD,
    key: Key = None,
) -> None:
    """Decide on one version of a study, by its digest; "asked" gives it back with a question."""
    from node.program import utc_now
    from node.steward_keys import signing_hand

    with exit_codes(), signing_hand(Home(dir), by, key, utc_now) as (node, sign):
        signed = sign(decision_word(digest, decision, reason))
        print(node.decide(digest, decision, reason, signed))


def review(
    digest: str,
    reviewer: Annotated[str, typer.Option(help="The patient reviewer's name.")],
    words: Annotated[str, typer.Option(help="What the reviewer says of the study.")] = "",
    dir: Dir = HERE,  # noqa: A002
    by: By = STEWARD,
) -> None:
    """Record a patient reviewer's sign-off of one version of a study."""
    with exit_codes(), hand(Home(dir), by) as node:
        show(node.sign_off(digest, reviewer, words))


def requests(
    dir: Dir = HERE,  # noqa: A002
    days: Annotated[int, typer.Option(min=1, max=3660)] = 30,
    waiting: Annotated[bool, typer.Option(help="Only those that wait for a look.")] = False,
) -> None:
    """Questions that came: what is computed, by whom, the cost, and what became of them."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.waiting_questions() if waiting else node.requests(days))


def answer_question(
    mark: str,
    decision: Annotated[str, typer.Argument(help="allowed or refused")],
    dir: Dir = HERE,  # noqa: A002
    reason: str = "",
    by: By = STEWARD,
) -> None:
    """Allow or refuse a question that waits for a look, by its mark."""
    with exit_codes(), hand(Home(dir), by) as node:
        print(node.decide_question(mark, decision, reason))


@policy_app.command("show")
def policy_show(dir: Dir = HERE) -> None:  # noqa: A002
    """The policy in force, in words and figures."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.policy())


@policy_app.command("presets")
def policy_presets(dir: Dir = HERE) -> None:  # noqa: A002
    """Careful, balanced and open, spelled out."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.presets())


@policy_app.command("try")
def policy_try(file: Path, dir: Dir = HERE) -> None:  # noqa: A002
    """What the policy in FILE would have done with last month's requests; changes nothing."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.try_policy(read_text(file), file.name))


@policy_app.command("set")
def policy_set(
    file: Path,
    dir: Dir = HERE,  # noqa: A002
    reason: str = "",
    by: By = STEWARD,
    key: Key = None,
) -> None:
    """Put the policy in FILE in force: an entry of the ledger, with what it changes."""
    from node.program import utc_now
    from node.steward_keys import signing_hand

    with exit_codes(), signing_hand(Home(dir), by, key, utc_now) as (node, sign):
        content = read_text(file)
        meant = node.try_policy(content, file.name)["digest"]
        signed = sign(policy_word(meant, reason))
        show(node.set_policy(content, reason, file.name, signed))


@members_app.command("show")
def members_show(
    digest: str,
    dir: Dir = HERE,  # noqa: A002
    hide: Annotated[bool, typer.Option(help="Take it back.")] = False,
) -> None:
    """Publish a study to this organisation's members."""
    with exit_codes(), hand(Home(dir)) as node:
        node.show_to_members(digest, not hide)
        print("hidden" if hide else "shown")


@members_app.command("studies")
def members_studies(dir: Dir = HERE) -> None:  # noqa: A002
    """What members are shown: studies in plain words."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.studies_for_members())


@members_app.command("say")
def members_say(
    digest: str,
    kind: Annotated[str, typer.Argument(help="question or priority")],
    words: Annotated[str, typer.Option()] = "",
    priority: Annotated[int, typer.Option(min=0, max=5, help="1 (little) to 5 (much)")] = 0,
    dir: Dir = HERE,  # noqa: A002
) -> None:
    """Keep what a member says about a study, without who said it."""
    with exit_codes(), hand(Home(dir)) as node:
        node.member_says(digest, kind, words, priority)
        print("kept")


@members_app.command("voices")
def members_voices(digest: str, dir: Dir = HERE) -> None:  # noqa: A002
    """What members asked about a study, and how much they want it."""
    with exit_codes(), hand(Home(dir)) as node:
        show(node.voices(digest))


def read_text(path: Path) -> str:
    """A file's text; raises BadInput naming it."""
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read as UTF-8 text", where=str(path)) from None
