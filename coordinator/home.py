"""The coordinator's folder: settings, keys, database and sockets, each at one known place.

coordinator.toml      settings
keys/identity.key     Ed25519 identity: signs rosters, studies, plans, releases (0600)
tls/                  the network's certificate authority and the server's certificate
store.sqlite          everything the coordinator remembers (or PostgreSQL, by `database`)
bridge.sock           the local socket of the bridge to the nodes
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.login.oidc_settings import OidcSettings
from privacy.contract.canonical import b64, sha256_hex, unb64
from privacy.contract.signing import SigningKey
from privacy.errors import BadInput

LONGEST_SOCKET_PATH = 100


def _fits(path: Path) -> bool:
    return len(bytes(path)) <= LONGEST_SOCKET_PATH


def _short_socket(path: Path) -> Path:
    """A short name made of a long path, in a temporary folder that only this user can enter."""
    name = f"{sha256_hex(bytes(path))[:24]}.sock"
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - entered by its owner alone
        folder = base / f"cairn-{os.getuid()}"
        if _fits(folder / name):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                raise BadInput("not a folder of this user alone", where=str(folder))
            return folder / name
    raise BadInput("the path is too long for a socket", where=str(path))


@dataclass(frozen=True)
class Settings:
    """What the operator may change. Units are in the names."""

    network: str
    host: str = "127.0.0.1"
    port: int = 8400
    fleet_host: str = "127.0.0.1"
    fleet_port: int = 8401
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
        path = (self.root / "bridge.sock").resolve()
        return path if _fits(path) else _short_socket(path)

    def database_url(self, settings: Settings) -> str:
        return settings.database or f"sqlite:///{(self.root / 'store.sqlite').resolve()}"

    def settings(self) -> Settings:
        """Read coordinator.toml; raises BadInput naming the file and what is wrong."""
        where = str(self.settings_file)
        try:
            values = tomllib.loads(self.settings_file.read_text("utf-8"))
        except FileNotFoundError:
            raise BadInput(
                "no coordinator lives here",
                where=where,
                instead="run `cairn-coordinator init` first",
            ) from None
        except tomllib.TOMLDecodeError as error:
            raise BadInput(str(error), where=where) from None
        for name in values:
            if name not in Settings.__dataclass_fields__:
                raise BadInput(f"unknown setting {name!r}", where=where)
        if not isinstance(values.get("limits", {}), dict):
            raise BadInput("limits is a table: [limits]", where=where)
        try:
            return Settings(**values)
        except TypeError as error:
            raise BadInput(str(error).split("() ")[-1], where=where) from None

    def write_settings(self, settings: Settings) -> None:
        plain = {name: value for name, value in vars(settings).items() if name != "limits"}
        lines = [f"{name} = {_toml(value)}" for name, value in plain.items()]
        if settings.limits:
            lines += ["[limits]"]
            lines += [f"{name} = {_toml(value)}" for name, value in settings.limits.items()]
        self.settings_file.write_text("\n".join(lines) + "\n", "utf-8")

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
        return SigningKey(unb64(self.identity_file.read_text("ascii").strip()))

    def write_identity(self, key: SigningKey) -> None:
        """Write the identity key once, readable by its owner alone; never overwrites one."""
        self.identity_file.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(self.identity_file, flags, 0o600), "w", encoding="ascii") as file:
            file.write(b64(key.secret_bytes()) + "\n")


def _toml(value: str | float) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
