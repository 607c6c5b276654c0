"""What holds for every test run."""

from __future__ import annotations

import pytest

FLOOR = 1_900  # collected by `make test`; a glob that breaks must not go green


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A whole run that collects far fewer tests than there are is an error."""
    whole = config.args == config.getini("testpaths") and not config.option.keyword
    if whole and config.option.markexpr == "not statistical" and len(items) < FLOOR:
        raise pytest.UsageError(f"only {len(items)} tests were collected, expected {FLOOR}")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests of one module that share something run in order in one process."""
    if _shares_its_module(item) and not any(item.iter_markers("xdist_group")):
        item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))


def _shares_its_module(item: pytest.Item) -> bool:
    """Noise is seeded; were they spread by chance, it would differ from run to run."""
    found = getattr(item, "_fixtureinfo", None)
    made = found.name2fixturedefs.values() if found else ()
    return any(each[-1].scope == "module" for each in made)
