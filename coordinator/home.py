"""The coordinator's folder: settings, keys, database and sockets, each at one known place.

coordinator.toml      settings
keys/identity.key     Ed25519 identity: signs rosters, studies, plans, releases (0600)
tls/                  the network's certificate authority and the server's certificate
store.sqlite          everything the coordinator remembers (or PostgreSQL, by `database`)
bridge.sock           the local socket of the bridge to the nodes
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass as settings

from coordinator.login.oidc_settings import OidcSettings
from privacy.contract.canonical import b64, unb64
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput
from service.listeners import socket_path
from service.settings_file import CLOSED, Port, read_settings, settings_text


@settings(frozen=True, config=CLOSED)
class Settings:
    """What the operator may change. Units are in the names."""

    network: str
    host: str = "127.0.0.1"
    port: Port = 8400
    fleet_host: str = "127.0.0.1"
    fleet_port: Port = 8401
    public_url: str = ""
    fleet_address: str = ""
    database: str = ""
    trusted_proxies: str = ""  # addresses whose X-Forwarded-For is believed, by commas
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_secret_file: str = ""
    oidc_name: str = ""
    timeout_seconds: float = 10.0
    limits: Mapping[str, Any] = field(default_factory=dict)  # of the API, by name


@dataclass(frozen=True)
class Home:
    """The folder of the coordinator."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / "coordinator.toml"

    @property
    def identity_file(self) -> Path:
        return self.root / "keys" / "identity.key"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def socket_file(self) -> Path:
        """In the folder; where its path is too long for a socket, in a folder of this user's."""
        return socket_path(self.root / "bridge.sock")

    def database_url(self, settings: Settings) -> str:
        return settings.database or f"sqlite:///{(self.root / 'store.sqlite').resolve()}"

    def settings(self) -> Settings:
        """Read coordinator.toml; raises BadInput naming the file and what is wrong."""
        return read_settings(
            self.settings_file, Settings, "no coordinator lives here", "cairn-coordinator init"
        )

    def write_settings(self, settings: Settings) -> None:
        self.settings_file.write_text(settings_text(vars(settings)), "utf-8")

    def oidc(self, settings: Settings) -> OidcSettings | None:
        """The identity provider that the settings name; its secret stands in a file."""
        if not settings.oidc_issuer:
            return None
        if not settings.public_url:
            raise BadInput("is missing; the provider sends browsers there", where="public_url")
        return OidcSettings(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=self._secret(settings.oidc_secret_file),
            name=settings.oidc_name,
            redirect_uri=f"{settings.public_url.rstrip('/')}/v1/oidc/callback",
        )

    def _secret(self, file: str) -> str:
        """The text of a file below the folder (or anywhere, by an absolute path)."""
        if not file:
            return ""
        path = self.root / file
        try:
            found = path.stat()
            text = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise BadInput("cannot be read", where=str(path)) from None
        if found.st_mode & 0o077:
            raise BadInput("others can read it", where=str(path), instead="chmod 600")
        return text

    def identity(self) -> SigningKey:
        """The coordinator's key; raises BadInput where it is missing or is none."""
        where, what = str(self.identity_file), "the coordinator's key is missing"
        instead = "put its copy back, or run `cairn-coordinator rotate-key --lost`"
        try:
            return SigningKey(unb64(self.identity_file.read_text("ascii").strip()))
        except OSError:
            raise BadInput(what, where=where, instead=instead) from None
        except (BadInput, ValueError):
            raise BadInput("is no key", where=where, instead=instead) from None

    def write_identity(self, key: SigningKey) -> None:
        """Write the identity key once, readable by its owner alone; never overwrites one."""
        self.identity_file.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(self.identity_file, flags, 0o600), "w", encoding="ascii") as file:
            file.write(b64(key.secret_bytes()) + "\n")
