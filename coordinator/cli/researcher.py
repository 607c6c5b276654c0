"""`cairn`: studies, questions and audits from the command line.

Data goes to standard output, progress to standard error. The token comes from CAIRN_TOKEN or
a file, never from an argument. Exit codes: 0 done, 1 a bug, 2 wrong use, 3 refused by policy,
4 over budget, 5 offline, 6 verification failed.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import audits, insights, login, models, own_key, planned, runs, studies
from coordinator.cli.connection import Connection, connection_of
from coordinator.cli.diagnosis import diagnose
from coordinator.cli.options import (
    KINDS,
    AskedEpsilon,
    Attempts,
    By,
    Columns,
    DryRun,
    Epsilon,
    FormatOf,
    KindOf,
    Members,
    Mock,
    Set,
    StudyId,
    TargetError,
    Timeout,
    Where,
    Yes,
)
from coordinator.cli.outcome import Exit, outcome
from coordinator.cli.output import Format, confirm, say, show, show_json, show_result
from coordinator.cli.secrets import new_secret_file
from coordinator.client.joining import join as redeem
from coordinator.client.kinds import Kind, Written, question_of, settings_of
from coordinator.client.study import Study
from privacy.contract.shown import printable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # their frames would show a token
    help=__doc__,
)
study_app = typer.Typer(no_args_is_help=True, help="Studies you may ask.")
query_app = typer.Typer(no_args_is_help=True, help="Ask a study.")
model_app = typer.Typer(no_args_is_help=True, help="Released networks.")
runs_app = typer.Typer(no_args_is_help=True, help="Runs under way and done.")
node_app = typer.Typer(no_args_is_help=True, help="The organisations' nodes.")
for name, part in {
    "study": study_app,
    "query": query_app,
    "model": model_app,
    "runs": runs_app,
    "audit": audits.audit_app,
    "node": node_app,
    "insights": insights.insights_app,
    "account": login.account_app,
    "key": own_key.key_app,
}.items():
    app.add_typer(part, name=name)
app.command()(login.login)
app.command()(login.logout)
app.command()(login.browser)


@app.callback()
def _connection(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(envvar="CAIRN_URL", help="The coordinator, or mock:DIR.")
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="A file that holds the token; else CAIRN_TOKEN.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(envvar="CAIRN_CA", help="The coordinator's authority (PEM).")
    ] = None,
) -> None:
    context.obj = Connection(url, token_file, ca)


@study_app.command("list")
def study_list(context: typer.Context, form: FormatOf = Format.TABLE) -> None:
    """The studies you may ask."""
    with outcome(), connection_of(context).network() as net:
        rows = [
            {
                "id": study.id,
                "title": study.title,
                "purpose": study.purpose,
                "consent": study.facts.consent.value,
                "period": f"{study.facts.starts} to {study.facts.ends}",
                "epsilon": study.facts.epsilon_allowance,
            }
            for study in net.studies()
        ]
        show(rows, ["id", "title", "purpose", "consent", "period", "epsilon"], form)


@study_app.command("show")
def study_show(context: typer.Context, study: StudyId, form: FormatOf = Format.TABLE) -> None:
    """One study: what is left of its allowance, who approved it, and its columns."""
    with outcome(), connection_of(context).network() as net:
        found = net.study(study)
        columns = [{**asdict(column), "cells": list(column.cells)} for column in found.columns]
        if form is Format.JSON:
            about = {
                "study": found.facts.to_json(),
                "budget": asdict(found.budget),
                "approvals": found.approvals,
                "columns": columns,
            }
            show_json(about)
            return
        if form is Format.TABLE:
            say(f"{printable(found.title)}\nbudget: {found.budget}")
            print("approvals:", found.approvals or "none", end="\n\n")
        show(columns, ["table", "name", "type", "lower", "upper", "unit", "cells"], form)


@query_app.command("preview", epilog=KINDS)
def query_preview(
    context: typer.Context,
    study: StudyId,
    kind: KindOf,
    columns: Columns = None,
    *,
    epsilon: AskedEpsilon = "",
    target_error: TargetError = "",
    by: By = None,
    settings: Set = None,
    where: Where = "",
    form: FormatOf = Format.TABLE,
    mock: Mock = False,
    members: Members = None,
) -> None:
    """Cost and expected error of a question, or the epsilon it takes; spends nothing."""
    with outcome(), connection_of(context).network() as net:
        written = _written(kind, columns, by, settings)
        question = question_of(_study(net.study(study), mock), written, where)
        preview = question.preview(
            epsilon=epsilon or None, target_error=target_error or None, members=members
        )
        if form is Format.TABLE:
            say(preview)
        elif form is Format.JSON:
            show_json(preview.to_json())
        else:
            row = preview.planned.to_json()
            show([row], list(row), form)


@query_app.command("attrition")
def query_attrition(
    context: typer.Context,
    study: StudyId,
    *,
    where: Annotated[str, typer.Option("--where", help="The cohort.")],
    form: FormatOf = Format.TABLE,
    mock: Mock = False,
) -> None:
    """How many members each condition of a cohort leaves, in turn; on made-up members alone."""
    with outcome(), connection_of(context).network() as net:
        found = _study(net.study(study), mock).where(where).attrition()
        show([asdict(step) for step in found.steps], ["condition", "members", "lost"], form)
        if form is Format.TABLE:
            print("MOCK DATA: made-up members")


@query_app.command("run", epilog=KINDS)
def query_run(
    context: typer.Context,
    study: StudyId,
    kind: KindOf,
    columns: Columns = None,
    *,
    epsilon: Epsilon,
    by: By = None,
    settings: Set = None,
    where: Where = "",
    form: FormatOf = Format.TABLE,
    mock: Mock = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    max_attempts: Attempts = 1,
    timeout: Timeout = 120.0,
) -> None:
    """Ask a question and print the answer. Asked before, it is answered at no cost."""
    with outcome(), connection_of(context).network() as net:
        written = _written(kind, columns, by, settings)
        question = question_of(_study(net.study(study), mock), written, where)
        if dry_run:
            say(question.preview(epsilon=epsilon))
            return
        if not (yes or mock):
            confirm(lambda: str(question.preview(epsilon=epsilon)))
        job = question.start(epsilon=epsilon, max_attempts=max_attempts)
        show_result(runs.answered(job, timeout), form)


for each in (
    studies.about,
    studies.propose,
    studies.log,
    studies.answer,
    studies.close,
    studies.publish,
    studies.register,
):
    study_app.command(each.__name__)(each)
query_app.command("show")(planned.show_release)
query_app.command("top-up")(planned.top_up)
query_app.command("aft")(planned.aft)
query_app.command("submodel")(planned.submodel)
app.command("plan")(planned.run_plan)
app.command("delegate")(studies.delegate)
app.command("end-delegation")(studies.end_delegation)
model_app.command("save")(models.save)
model_app.command("card")(models.card)
runs_app.command("list")(runs.list_runs)
runs_app.command("watch")(runs.watch)
runs_app.command("cancel")(runs.cancel)


@node_app.command("list")
def node_list(context: typer.Context, form: FormatOf = Format.TABLE) -> None:
    """The organisations' nodes with their public state."""
    with outcome(), connection_of(context).network() as net:
        rows = [asdict(node) for node in net.nodes()]
        show(rows, ["id", "name", "state", "last_contact", "version"], form)


@node_app.command("linkages")
def node_linkages(context: typer.Context, form: FormatOf = Format.TABLE) -> None:
    """Which organisations linked their members, by what, until when; what became of it."""
    with outcome(), connection_of(context).network() as net:
        rows = [each | {"nodes": ", ".join(each["nodes"])} for each in net.linkages()]
        show(rows, ["session", "nodes", "starts", "ends", "state", "code"], form)


@app.command()
def join(
    context: typer.Context,
    token_file: Annotated[Path, typer.Option("--write", help="A new file for the token.")],
) -> None:
    """Redeem an invitation (from CAIRN_INVITATION, or typed in) and keep the token in a file."""
    with outcome():
        code = os.environ.get("CAIRN_INVITATION") or typer.prompt(
            "Invitation", hide_input=True, err=True
        )
        connection = connection_of(context)
        with new_secret_file(token_file) as file:
            token = redeem(connection.address, code.strip(), entropy=os.urandom, ca=connection.ca)
            file.write(token.text + "\n")
        print(token_file)


@app.command()
def doctor(context: typer.Context) -> None:
    """A diagnosis to copy into a message: no secrets, no data."""
    lines, reachable = diagnose(connection_of(context))
    say("\n".join(lines))
    if not reachable:
        raise typer.Exit(int(Exit.OFFLINE))


def _study(study: Study, mock: bool) -> Study:
    return study.mock() if mock else study


def _written(
    kind: Kind, columns: list[str] | None, by: list[str] | None, settings: list[str] | None
) -> Written:
    return Written(kind, tuple(columns or ()), tuple(by or ()), settings_of(settings or ()))


def main() -> None:
    """Entry point of `cairn`."""
    app()
