"""What holds for every test run."""

from __future__ import annotations

import pytest

FLOOR = 1_900  # collected by `make test`; a glob that breaks must not go green


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A whole run that collects far fewer tests than there are is an error."""
    whole = config.args == config.getini("testpaths") and not config.option.keyword
    if whole and config.option.markexpr == "not statistical" and len(items) < FLOOR:
        raise pytest.UsageError(f"only {len(items)} tests were collected, expected {FLOOR}")
