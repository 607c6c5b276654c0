"""The whole coordinator behind its API, with its store in PostgreSQL."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx

from privacy.contract.token import Role
from tests.support.accounts import bearer_of, enrol
from tests.support.api_calls import bearer, researcher, run, signed
from tests.support.fake_executor import make_world, serve
from tests.support.postgres_server import POSTGRESQL, PostgresServer

pytestmark = POSTGRESQL


def test_people_ask_read_and_audit_on_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    with postgres.database("whole_coordinator") as url:
        world = make_world(tmp_path, database=url)
        with (
            serve(world.app) as address,
            httpx.Client(base_url=address, trust_env=False, timeout=60) as http,
        ):
            first = run(http, world, key="one").json()
            assert first["state"] == "released"
            assert run(http, world, key="one").json()["id"] == first["id"]
            again = run(http, world, nonce="01").json()
            assert again["repeat"] is True
            topped = run(http, world, nonce="02", tops_up=(first["answer"]["release"],)).json()
            digest = topped["answer"]["release"]
            both = http.get(f"/v1/releases/{digest}/combined", headers=researcher(world))
            assert both.status_code == 200
            doctor = enrol(world, http, Role.CLINICIAN, "doctor")
            listed = http.get("/v1/releases", headers=bearer_of(doctor.sign_in())).json()
            assert len(listed["releases"]) == 2
            study = http.get("/v1/studies/als-progression", headers=researcher(world)).json()
            assert study["budget"]["committed"]["epsilon"] > 0
            runs = http.get("/v1/runs", headers=bearer(world.tokens[Role.AUDITOR])).json()["runs"]
            assert [each["id"] for each in runs][-1] == first["id"]
        world.store.close()


def test_requests_at_once_start_one_run_for_one_key(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with postgres.database("at_once") as url:
        world = make_world(tmp_path, database=url)
        body = signed(world)
        started: list[tuple[int, str]] = []
        with serve(world.app) as address:

            def ask() -> None:
                with httpx.Client(base_url=address, trust_env=False, timeout=60) as http:
                    headers = researcher(world, **{"Idempotency-Key": "one", "Prefer": "wait=20"})
                    answer = http.post("/v1/runs", json=body, headers=headers)
                    started.append((answer.status_code, answer.json()["id"]))

            threads = [threading.Thread(target=ask) for _ in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert {code for code, _ in started} <= {200, 202}
        assert len({name for _, name in started}) == 1
        world.store.close()
