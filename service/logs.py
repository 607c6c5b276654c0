"""Logs of a service: one line each on standard error, without values."""

from __future__ import annotations

import logging
import sys

import structlog


def quiet_logs() -> None:
    """Logs go to standard error; an exception is named by its class and place alone."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(without_texts)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def without_texts(record: logging.LogRecord) -> bool:
    """Keep the class and the line of an exception; its text can quote a value."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        record.msg, record.args = f"failed: {whereabouts(error)}", ()
        record.exc_info = record.exc_text = None
    return True


def whereabouts(error: BaseException) -> str:
    """Class and innermost line of an error: enough to find it, and nothing it quotes."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
    return f"{type(error).__name__} at {where}"
