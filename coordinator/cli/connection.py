"""How a command finds the coordinator and the token."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from coordinator.client.network import MockNetwork, Network, connect
from coordinator.client.transport import Transport
from privacy.errors import BadInput


@dataclass(frozen=True)
class Connection:
    """Options and environment of one command."""

    url: str
    token_file: Path | None
    ca: Path | None

    @property
    def address(self) -> str:
        if not self.url:
            raise BadInput("no coordinator is named", instead="set CAIRN_URL or pass --url")
        return self.url

    def token(self) -> str:
        """The token from its file or from CAIRN_TOKEN; "" where there is none."""
        if self.token_file is None:
            return os.environ.get("CAIRN_TOKEN", "")
        try:
            return self.token_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise BadInput("cannot be read", where=str(self.token_file)) from None

    @contextmanager
    def network(self) -> Iterator[Network | MockNetwork]:
        """The network, closed afterwards."""
        net = connect(self.address, self.token() or None, self.ca)
        try:
            yield net
        finally:
            net.close()

    def transport(self) -> Transport:
        """The line to the coordinator itself, for what mock data do not have."""
        net = connect(self.address, self.token() or None, self.ca)
        if isinstance(net, MockNetwork):
            raise BadInput("mock data have no ledgers", where="url")
        return net.transport


def connection_of(context: typer.Context) -> Connection:
    found = context.obj
    return found if isinstance(found, Connection) else Connection("", None, None)
