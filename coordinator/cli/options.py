"""Arguments and options that several commands of `cairn` take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.output import Format
from coordinator.client.kinds import Kind

StudyId = Annotated[str, typer.Argument(help="The study's id.")]
KINDS = f"KIND is one of {', '.join(Kind)}. Columns follow in the order of its page in the docs."
KindOf = Annotated[Kind, typer.Argument(metavar="KIND", help="What to compute.")]
Columns = Annotated[list[str] | None, typer.Argument(help="The columns, in the kind's order.")]
By = Annotated[list[str] | None, typer.Option("--by", help="For groups; may be repeated.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A setting, name=value; may be repeated.")
]
Where = Annotated[str, typer.Option("--where", help="The cohort; everyone without it.")]
Epsilon = Annotated[str, typer.Option("--epsilon", help="What the question may cost.")]
FormatOf = Annotated[Format, typer.Option("--format", help="How to print data.")]
Mock = Annotated[bool, typer.Option("--mock", help="On made-up members, at no cost.")]
TargetError = Annotated[
    str,
    typer.Option("--target-error", help="Instead of --epsilon: the half-width of a 95 % interval."),
]
AskedEpsilon = Annotated[str, typer.Option("--epsilon", help="What the question may cost.")]
Members = Annotated[int | None, typer.Option(help="Your guess of the cohort's size.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before spending.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Preview only.")]
Attempts = Annotated[int, typer.Option(help="Attempts, each at the full cost.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait.")]
CoordinatorKey = Annotated[
    str, typer.Option(help="The coordinator's key (base64), known from elsewhere.")
]
KeysFile = Annotated[
    Path | None, typer.Option("--keys", help="Known keys: `NAME KEY` on each line.")
]
Bundle = Annotated[Path, typer.Argument(help="The bundle's folder.")]
SecondOption = Annotated[
    bool, typer.Option("--second", help="Recompute by dp-accounting too (the extra `audit`).")
]
