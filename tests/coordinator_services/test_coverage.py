"""The catalogue over the API: bands of what was released, to those who may see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coordinator.client import connect
from coordinator.client.errors import Refused
from coordinator.client.network import Network
from models.coverage import EDGES
from privacy.contract.token import Role
from tests.support.fake_executor import World, serve


@pytest.fixture
def networks(live_world: World) -> Iterator[dict[str, Network]]:
    with serve(live_world.app) as url:
        tokens = {role.value: token for role, token in live_world.tokens.items()}
        made = {name: connect(url, token.text) for name, token in tokens.items()}
        made["outsider"] = connect(url, live_world.outsider.text)
        yield {name: each for name, each in made.items() if isinstance(each, Network)}


def test_bands_are_those_of_releases_and_only_for_who_may_see_them(
    networks: dict[str, Network],
) -> None:
    mine = networks["researcher"]
    assert not any(mine.catalogue().members)
    study = mine.study("als-progression")
    counted = study.count(by="condition").run(epsilon=0.5)
    crossed = study.count(by=["treatment", "condition"]).run(epsilon=0.5)
    study.where("age > 50").count(by=["condition", "severity"]).run(epsilon=0.5)
    seen = mine.catalogue()
    assert (seen.by, seen.levels) == ("members.condition", ("als", "ms", "mood"))
    for told, row in zip(seen.members, counted.answer.rows, strict=True):
        assert told is not None
        assert told.release == counted.release
        assert told.band.at_least <= max(row.low, 0)
        assert told.band.below is not None
        assert row.high < told.band.below
        assert {told.band.at_least, told.band.below} <= set(EDGES)
    by_name = {each.name: each for each in seen.variables}
    assert {told and told.release for told in by_name["members.treatment"].bands} == {
        crossed.release
    }
    assert by_name["members.severity"].bands == (None, None, None)  # a part's answer is no band
    assert not any(networks["outsider"].catalogue().members)
    assert any(networks["auditor"].catalogue().members)
    assert list(seen.table.columns) == ["variable", "als", "ms", "mood"]
    assert [each.name for each in seen.named("SEVER")] == ["members.severity"]


def test_a_better_answer_gives_the_narrower_band(networks: dict[str, Network]) -> None:
    mine = networks["researcher"]
    study = mine.study("als-progression")
    exact = study.table(["condition"]).run(epsilon=2)
    study.count(by="condition").run(epsilon=0.1)
    assert {told and told.release for told in mine.catalogue("condition").members} == {
        exact.release
    }


def test_only_columns_with_levels_lay_it_out(networks: dict[str, Network]) -> None:
    with pytest.raises(Refused, match="bad_request"):
        networks["researcher"].catalogue("age")


def test_roles_without_releases_have_no_catalogue(networks: dict[str, Network]) -> None:
    with pytest.raises(Refused):
        networks[Role.STEWARD.value].catalogue()
