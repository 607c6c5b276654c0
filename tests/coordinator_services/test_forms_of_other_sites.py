"""No other site opens a session in a reader's browser, in whoever's name."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from privacy.contract.token import Role
from tests.support.fake_executor import World


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_is_opened_by_its_own_page_alone(world: World, site: str) -> None:
    links = world.app.state.services.links
    person = next(each for each in world.store.people.all() if each.role is Role.RESEARCHER)
    secret = links.make(person.id)
    with TestClient(world.app, base_url="https://testserver", follow_redirects=False) as client:
        told = client.post("/open", data={"secret": secret}, headers={"Sec-Fetch-Site": site})
        assert (told.status_code, "set-cookie" in told.headers) == (403, False)
        opened = client.post(
            "/open", data={"secret": secret}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert (opened.status_code, "set-cookie" in opened.headers) == (303, True)
