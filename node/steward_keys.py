"""A steward's own key: a file that stays with the steward, and words signed with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from node.home import Home, write_private
from node.steward_link import Hand, hand
from privacy.contract.canonical import Json
from privacy.contract.signing import SigningKey
from privacy.contract.time import instant_text
from privacy.contract.token import Role, Token
from privacy.errors import BadInput
from privacy.ledger.steward_entry import Signed
from privacy.randomness import Entropy

LIFETIME = timedelta(days=7)  # of an invitation
Sign = Callable[[Json], Signed | None]


def new_key_file(path: Path, entropy: Entropy) -> Token:
    """Make a secret in a new file that its owner alone can read."""
    if path.exists():
        raise BadInput("is there already", where=str(path), instead="name a new file")
    token = Token.new(Role.STEWARD, entropy)
    write_private(path, token.text.encode() + b"\n")
    return token


def read_key_file(path: Path) -> SigningKey:
    """The signing key in a steward's file or invitation; raises BadInput naming the file."""
    try:
        return Token.parse(path.read_text("ascii")).signing_key
    except (OSError, UnicodeDecodeError):
        raise BadInput("cannot be read", where=str(path)) from None
    except BadInput as error:
        raise BadInput(error.what, where=str(path), instead=error.instead) from None


@contextmanager
def signing_hand(
    home: Home, by: str, key: Path | None, clock: Callable[[], datetime]
) -> Iterator[tuple[Hand, Sign]]:
    """A hand on the node, and what signs a word with the steward's `key`, or nothing without.

    With a key the name in the ledger is the one that the key joined under, and `by` for the key
    in the node's folder while nobody has joined. Raises BadInput for a key that is no steward's
    here.
    """
    if key is None:
        with hand(home, by) as node:
            yield node, lambda _word: None
        return
    secret = read_key_file(key)
    with hand(home) as node:
        named = {each["key"]: each["name"] for each in node.stewards() if each["key"]}
    if not named and key == home.steward_file:
        named = {secret.public.text: by}
    if secret.public.text not in named:
        own = "sign with the key that you joined with: --key FILE" if named else ""
        raise BadInput("is no steward's key here", where=str(key), instead=own)
    settings = home.settings()
    with hand(home, named[secret.public.text]) as node:
        yield (
            node,
            lambda word: Signed.of(
                secret, settings.node, settings.network, instant_text(clock()), word
            ),
        )
