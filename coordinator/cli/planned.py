"""Commands on what was asked before, and on plans that share a budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.cli.connection import connection_of
from coordinator.cli.options import (
    Attempts,
    DryRun,
    Epsilon,
    FormatOf,
    Members,
    Mock,
    StudyId,
    Timeout,
    Yes,
)
from coordinator.cli.outcome import outcome
from coordinator.cli.output import (
    Format,
    confirm,
    progress,
    say,
    show,
    show_json,
    show_result,
    working,
)
from coordinator.client.plan import Item, Plan, PlanPreview, read_plan
from coordinator.client.result import Result
from models.aggregates.time_ratios import LAWS
from privacy.contract.shown import printable
from privacy.errors import BadInput

TimesLaw = Annotated[str, typer.Argument(help=f"The law of times: {', '.join(LAWS)}.")]
ReleaseId = Annotated[str, typer.Argument(help="Its digest, or the first digits of it.")]
PlanFile = Annotated[Path, typer.Argument(help="The plan, as Plan.to_json() wrote it down.")]
AnswersFile = Annotated[
    Path | None, typer.Option("--answers", help="What was answered; FILE.answers unless written.")
]


def show_release(
    context: typer.Context, study: StudyId, release: ReleaseId, form: FormatOf = Format.TABLE
) -> None:
    """An answer that is stored already; costs nothing."""
    with outcome(), connection_of(context).network() as net:
        show_result(net.study(study).release(release), form)


def top_up(
    context: typer.Context,
    study: StudyId,
    release: ReleaseId,
    *,
    epsilon: Epsilon,
    form: FormatOf = Format.TABLE,
    yes: Yes = False,
    max_attempts: Attempts = 1,
    timeout: Timeout = 120.0,
) -> None:
    """Ask the same again for more, and combine both into one answer."""
    with outcome(), connection_of(context).network() as net:
        earlier = net.study(study).release(release)
        if not yes:
            confirm(lambda: f"{earlier.asked.sentence}: epsilon {epsilon} more")
        with working("waiting for the nodes"):
            result = earlier.top_up(
                epsilon=epsilon, max_attempts=max_attempts, timeout_seconds=timeout
            )
        show_result(result, form)


def aft(
    context: typer.Context,
    study: StudyId,
    release: ReleaseId,
    law: TimesLaw = LAWS[0],
    form: FormatOf = Format.TABLE,
) -> None:
    """Time ratios of a released survival table, under a law of times; costs nothing."""
    with outcome(), connection_of(context).network() as net:
        show_result(net.study(study).release(release).aft(law), form)  # type: ignore[arg-type]


def submodel(
    context: typer.Context,
    study: StudyId,
    release: ReleaseId,
    formula: Annotated[str, typer.Argument(help="The same outcome by fewer of its terms.")],
    form: FormatOf = Format.TABLE,
) -> None:
    """A smaller linear model, made of a released one; costs nothing."""
    with outcome(), connection_of(context).network() as net:
        show_result(net.study(study).release(release).submodel(formula), form)


def run_plan(
    context: typer.Context,
    file: PlanFile,
    *,
    answers: AnswersFile = None,
    form: FormatOf = Format.TABLE,
    mock: Mock = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    members: Members = None,
    max_attempts: Attempts = 1,
    timeout: Timeout = 120.0,
) -> None:
    """Ask what a pre-registered plan has not answered yet; begun again, it repeats nothing."""
    with outcome(), connection_of(context).network() as net:
        said = read_plan(_text(file), str(file))
        study = net.study(_study_of(said, file))
        plan = Plan.from_json(study.mock() if mock else study, said)
        record = _Record(answers or file.with_name(file.name + ".answers"), plan)
        if not mock:
            plan.recall(record.read())
        if dry_run:
            _show_preview(plan.preview(members=members), form)
            return
        if not (yes or mock):
            confirm(lambda: str(plan.preview(members=members)))
        with working("waiting for the nodes"):
            each = _unrecorded if mock else record.write
            results = plan.run(max_attempts=max_attempts, timeout_seconds=timeout, each=each)
        _show_results(results, form)


class _Record:
    """Which release answered which question, in a file beside the plan."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path, self.plan = path, plan

    def read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        said = read_plan(_text(self.path), str(self.path))
        if not isinstance(said, dict) or said.get("plan") != self.plan.digest:
            raise BadInput("keeps the answers of another plan", where=str(self.path))
        return {str(key): str(release) for key, release in dict(said.get("releases", {})).items()}

    def write(self, item: Item, result: Result) -> None:
        """Whole after every answer, so that an interruption forgets none."""
        beside = self.path.with_name(self.path.name + ".new")
        body = {"plan": self.plan.digest, "releases": self.plan.releases}
        try:
            beside.write_text(json.dumps(body, indent=2) + "\n", "utf-8")
            beside.replace(self.path)
        except OSError:
            raise BadInput("cannot be written", where=str(self.path)) from None
        said = f"answered: {item.question.sentence} ({result.release[:12]})"
        progress().print(printable(said), markup=False)


def _unrecorded(item: Item, result: Result) -> None:
    """Made-up answers are worth no record."""


def _study_of(said: Any, file: Path) -> str:
    study = said.get("study") if isinstance(said, dict) else None
    if not isinstance(study, str):
        raise BadInput("names no study", where=str(file))
    return study


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read", where=str(path)) from None


def _show_preview(preview: PlanPreview, form: Format) -> None:
    if form is Format.TABLE:
        say(preview)
    elif form is Format.JSON:
        show_json(preview.to_json())
    else:
        rows = preview.table.to_dict("records")
        show(
            [{str(name): value for name, value in row.items()} for row in rows],
            [str(name) for name in preview.table.columns],
            form,
        )


def _show_results(results: tuple[Result, ...], form: Format) -> None:
    if form is Format.JSON:
        show_json([result.to_json() for result in results])
        return
    for result in results:
        progress().print(printable(result.asked.sentence), markup=False)
        show_result(result, form)
