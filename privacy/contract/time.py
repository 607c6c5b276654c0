"""Instants and days as text: one spelling, UTC, whole seconds."""

from __future__ import annotations

from datetime import UTC, date, datetime

from privacy.errors import BadInput

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def instant_text(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, for instance 2026-01-02T03:04:05Z."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def parse_instant(text: str) -> datetime:
    """Read `instant_text`'s form; anything else raises BadInput."""
    try:
        moment = datetime.strptime(text, _FORM).replace(tzinfo=UTC)
    except ValueError:
        raise BadInput("not an instant", instead="write it as 2026-01-02T03:04:05Z") from None
    if instant_text(moment) != text:
        raise BadInput("not an instant", instead="write it as 2026-01-02T03:04:05Z")
    return moment


def parse_day(text: str) -> date:
    """Read an ISO day, for instance 2026-01-02; anything else raises BadInput."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadInput("not a day", instead="write it as 2026-01-02") from None
    if day.isoformat() != text:
        raise BadInput("not a day", instead="write it as 2026-01-02")
    return day


def epoch_of(day: date) -> str:
    """The data epoch of a day: its calendar month. Epochs change on this calendar only."""
    return f"{day.year:04d}-{day.month:02d}"
