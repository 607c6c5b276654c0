"""The node as a process: puts the parts together and runs until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import structlog
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray

from models.cohort.expression import Expression
from models.contribution import Contribution
from node.api import create_app
from node.balances import Balances
from node.charges import Charge
from node.consent_calendar import ConsentCalendar
from node.coordinator_keys import CoordinatorKeys
from node.cut import Beginning, Cut, cut_now, joined_since
from node.desk import Desk
from node.documents import Documents
from node.engine import total
from node.engines.choice import open_published
from node.flower_agent import FlowerAgent
from node.flower_app import build_client_app
from node.gate import Asked
from node.home import Home
from node.linker import Linker
from node.parts import Parts
from node.records import Records, RecordsSettings
from node.records_guard import RecordsGuard
from node.restore import check_no_restore
from node.runner import Runner, Step
from node.service import NodeService
from node.setup import open_ledger
from node.slots import Slots
from node.software import installed
from node.transport_key import load_transport_key
from node.watch import Watch
from node.witnessing import Witnessing
from privacy.errors import Refused
from privacy.randomness import Entropy
from service.listeners import listen_at_path, listen_on_port
from service.logs import quiet_logs

CALENDAR_SECONDS = 60.0
_Serving = tuple[uvicorn.Server, list[socket.socket]]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def _no_step(_step: str) -> None:
    return None


def build(home: Home, *, entropy: Entropy, clock: Clock, reached: Step = _no_step) -> Parts:
    """Open databases and keys; nothing listens yet."""
    check_no_restore(home)
    settings = home.settings()
    key = home.identity()
    ledger = open_ledger(home, clock, reached)
    records = Records.open(
        home.records_file, RecordsSettings(memory_limit_bytes=settings.memory_megabytes * 10**6)
    )
    copy = open_published(settings, records)
    guard = RecordsGuard.begin(records, ledger, copy)
    where = records if copy is None else copy
    diseases = home.diseases()
    balances = Balances(records, ledger)

    def engine(
        contribution: Contribution,
        cohort: Expression,
        asks: Asked | None,
        today: date,
        began: Beginning,
        charge: Charge,
    ) -> NDArray[np.int64]:
        with balances.account(charge, where) as account:
            return total(
                where,
                contribution,
                cohort,
                purpose=None if asks is None else asks.purpose,
                use=None if asks is None else asks.use,
                diseases=diseases,
                today=today,
                since=began.day,
                joined=lambda: joined_since(records, began.cut),
                site=settings.node,
                linkage="" if asks is None else asks.linkage,
                account=account,
            )

    def cut() -> Cut:
        return cut_now(records)

    desk = Desk.open(home.desk_file, clock)
    documents = Documents(home.documents, lambda: coordinators.key, lambda: ledger.state.successors)
    coordinators = CoordinatorKeys(settings.coordinator, ledger, documents, clock)
    linker = Linker(settings.node, key, settings.network, ledger, records, guard, entropy, clock)
    linker.settle()
    service = NodeService(
        node=settings.node,
        key=key,
        coordinators=coordinators,
        ledger=ledger,
        documents=documents,
        desk=desk,
        runner=Runner(settings.node, ledger, engine, cut, entropy, clock, reached),
        witnessing=Witnessing.begin(settings.node, ledger, ledger.own_key, entropy),
        watch=Watch(ledger, clock),
        linker=linker,
        slots=Slots(settings.slot_milliseconds / 1000, time.monotonic, time.sleep),
        entropy=entropy,
        clock=clock,
        boot=entropy(8).hex(),
        records_fault=guard.fault,
        software=installed(),
    )
    return Parts(home, settings, records, service, guard, desk, balances)


def run(root: Path, *, reached: Step = _no_step) -> None:
    """Serve until SIGTERM or SIGINT: the coordinator by Flower, the steward by HTTP."""
    quiet_logs()
    home = Home(root)
    node = build(home, entropy=os.urandom, clock=utc_now, reached=reached)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    agent = FlowerAgent(
        node.settings.fleet_address,
        home.ca_file,
        load_transport_key(home.transport_file),
        build_client_app(node.service.handle_all),
    )
    servers = [_local_server(node, agent), *_member_server(node)]
    agent_thread = threading.Thread(target=agent.run, args=(stop,), name="agent", daemon=True)
    agent_thread.start()
    threads = [
        threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
        for server, sockets in servers
    ]
    for thread in threads:
        thread.start()
    calendar = consent_calendar(node)
    while not stop.wait(CALENDAR_SECONDS):
        if node.service.witnessing.done:
            keep_calendar(calendar)
    for server, _ in servers:
        server.should_exit = True
    for thread in threads:
        thread.join(5.0)
    agent_thread.join(10.0)
    node.close()
    home.socket_file.unlink(missing_ok=True)


def consent_calendar(node: Parts) -> ConsentCalendar:
    """The calendar of the consent table's roots, for `keep_calendar` every minute."""
    service = node.service
    return ConsentCalendar(node.records, service.ledger, node.guard, service.entropy, service.clock)


def keep_calendar(calendar: ConsentCalendar) -> None:
    """Do what is due; a ledger that takes nothing now is asked again later."""
    try:
        calendar.tick()
    except Refused as refused:
        structlog.get_logger("cairn.node").warning("no root of consent", code=refused.code.value)


def _local_server(node: Parts, agent: FlowerAgent) -> _Serving:
    settings = node.settings
    sockets = [listen_at_path(node.home.socket_file), _port(settings.host, settings.port)]
    return _server(create_app(node, lambda: agent.connected)), sockets


def _member_server(node: Parts) -> list[_Serving]:
    """The members' listener, if this organisation has one."""
    settings = node.settings
    if not settings.member_port:
        return []
    from node.member.app import create_member_app

    where = _port(settings.member_host, settings.member_port)
    return [(_server(create_member_app(node)), [where])]


def _server(app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none"
    )
    return uvicorn.Server(config)


def _port(host: str, port: int) -> socket.socket:
    return listen_on_port(host, port, "set another port in node.toml; 0 is any that is free")
