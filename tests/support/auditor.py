"""An auditor with a token, and their commands."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from coordinator.cli.researcher import app
from coordinator.client.network import Network as Client
from coordinator.store.people import Credential
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from tests.support.network import Network

AUDITOR = Token(Role.AUDITOR, b"a" * 32)


def let_in(network: Network) -> None:
    """Grace is an auditor of this network."""
    at = instant_text(network.clock())
    network.store.people.add("Grace", Role.AUDITOR, Credential.of(AUDITOR), at)


def cairn(served: Client, *line: str) -> Result:
    """A command of the auditor's, against the coordinator that `served` speaks to."""
    values = {"CAIRN_URL": served.transport.url, "CAIRN_TOKEN": AUDITOR.text, "NO_COLOR": "1"}
    return CliRunner().invoke(app, list(line), env=values, catch_exceptions=False)
