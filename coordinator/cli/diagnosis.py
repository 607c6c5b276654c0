"""What `cairn doctor` prints: enough to help, nothing to hide."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from coordinator.cli.connection import Connection
from coordinator.client.network import MockNetwork
from coordinator.client.session import KeptSession
from privacy.contract.token import Token
from privacy.errors import CairnError


def diagnose(connection: Connection) -> tuple[list[str], bool]:
    """Lines to print, and whether the coordinator answered with a person signed in."""
    lines = [
        f"cairn        {_version()}",
        f"python       {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"coordinator  {_shown(connection.url) or 'not set (CAIRN_URL or --url)'}",
        f"authority    {connection.ca or 'the system'}",
        f"token        {_token(connection)}",
    ]
    try:
        return lines + _network(connection), True
    except CairnError as error:
        return [*lines, f"network      {error}"], False


def _network(connection: Connection) -> list[str]:
    with connection.network() as net:
        if isinstance(net, MockNetwork):
            return [f"studies      {len(net.studies())}, on made-up members"]
        said = net.transport.get("/v1/network")
        lines = [
            f"network      {said['id']}, roster epoch {said['roster_epoch']}",
            f"fingerprint  {said['coordinator_fingerprint']}",
        ]
        person = net.transport.get("/v1/me")
        lines.append(f"signed in    {person['id']} as {person['role']}")
        if person["public_key"]:
            lines.append(f"public key   {person['public_key']}")
        lines += [f"node         {node}" for node in net.nodes()]
        return [*lines, f"studies      {len(net.studies())}"]


def _token(connection: Connection) -> str:
    try:
        text = connection.token()
        if text:
            return f"set, made for a {Token.parse(text).role.value}"
        here = connection.url and not connection.url.startswith("mock:")
        kept = here and KeptSession(connection.url).exists
        return "not set; there is a session" if kept else "not set"
    except CairnError as error:
        return str(error)


def _shown(url: str) -> str:
    """The address without user, password, query or fragment."""
    parts = urlsplit(url)
    if not parts.hostname:
        return url if url.startswith("mock:") else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _version() -> str:
    try:
        return version("cairn-network")
    except PackageNotFoundError:
        return "from source"
