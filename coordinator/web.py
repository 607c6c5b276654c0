"""The coordinator's web process, with the bridge as its child: started again when it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import structlog

from coordinator.api.app import create_app
from coordinator.api.services import ApiSettings, with_limits
from coordinator.bridge_socket import BridgeSocket
from coordinator.fleet_tls import authority_files
from coordinator.home import Home, Settings
from coordinator.http_server import hand_over_quickly, make_server
from coordinator.own_key import check_own_key
from coordinator.pages.drawing import warm as warm_charts
from coordinator.store.store import Store
from privacy.errors import BadInput
from service.listeners import listen_on_port
from service.logs import quiet_logs

RESTART_SECONDS = 1.0
STOP_SECONDS = 10.0

_log = structlog.get_logger("cairn.coordinator")


def run(root: Path) -> None:
    """Serve the API until SIGTERM or SIGINT, with a bridge beside it."""
    quiet_logs()
    hand_over_quickly()
    home = Home(root)
    settings = home.settings()
    _listen(settings.fleet_host, settings.fleet_port, "fleet_port").close()
    listener = _listen(settings.host, settings.port, "port")
    store = Store.open(home.database_url(settings))
    key = check_own_key(home, store)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    keeper = threading.Thread(target=_keep_bridge, args=(root, stop), name="bridge-keeper")
    keeper.start()
    warm_charts()
    executor = BridgeSocket(home.socket_file, store)
    app = create_app(
        store,
        executor,
        key,
        settings=api_settings(home, settings),
        clock=lambda: datetime.now(UTC),
        entropy=os.urandom,
        oidc=home.oidc(settings),
    )
    limits = api_settings(home, settings)
    server = make_server(
        app,
        head_seconds=limits.max_head_seconds,
        max_connections=limits.max_connections,
        trusted_proxies=settings.trusted_proxies,
    )
    serving = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True
    )
    serving.start()
    stop.wait()
    server.should_exit = True
    keeper.join(STOP_SECONDS)
    serving.join(STOP_SECONDS)
    store.close()


def api_settings(home: Home, settings: Settings) -> ApiSettings:
    """Limits, as the settings change them, and what the web process tells joining nodes."""
    plain = ApiSettings(
        fleet_address=settings.fleet_address or f"{settings.fleet_host}:{settings.fleet_port}",
        ca_pem=authority_files(home.tls).certificate.read_text("ascii"),
        secure_cookies=settings.public_url.startswith("https:"),
    )
    try:
        return with_limits(plain, settings.limits)
    except BadInput as error:
        raise BadInput(error.what, where=f"{home.settings_file}: limits") from None


def _keep_bridge(root: Path, stop: threading.Event) -> None:
    """Run the bridge as a child process, and again whenever it ends."""
    command = [sys.executable, "-m", "coordinator.bridge_main", str(root), str(os.getpid())]
    while not stop.is_set():
        child = subprocess.Popen(command)
        while child.poll() is None and not stop.wait(0.1):
            pass
        if child.poll() is None:
            _end(child)
        elif not stop.is_set():
            _log.warning("the bridge ended; starting it again", code=child.returncode)
            stop.wait(RESTART_SECONDS)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _listen(host: str, port: int, setting: str) -> socket.socket:
    """A listener, or BadInput before anything starts."""
    return listen_on_port(host, port, f"set another {setting} in coordinator.toml")
