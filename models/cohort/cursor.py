"""A place in a text of the grammar: the next token, and what is refused there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from models.cohort.tokens import Kind, Token, refuse, tokens_of

MAX_DEPTH = 50


class Cursor:
    """Reads tokens one by one; `nested` bounds the recursion of whoever reads."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens_of(text)
        self.next = next(self._tokens)
        self._depth = 0

    @contextmanager
    def nested(self, opened: Token) -> Iterator[None]:
        """One level deeper. Raises BadInput beyond MAX_DEPTH levels."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refuse(f"nested deeper than {MAX_DEPTH}", opened.position, "use fewer brackets")
        yield
        self._depth -= 1

    def advance(self) -> Token:
        token = self.next
        if token.kind is not Kind.END:
            self.next = next(self._tokens)
        return token

    def at_end(self) -> bool:
        return self.next.kind is Kind.END

    def sees(self, *texts: str) -> bool:
        """Is the next token one of these words or signs of the grammar?"""
        return self.next.kind in (Kind.WORD, Kind.SIGN) and self.next.text in texts

    def take(self, text: str) -> bool:
        """Pass over the word or sign `text`, if it is next."""
        taken = self.sees(text)
        if taken:
            self.advance()
        return taken

    def expect(self, text: str, instead: str) -> None:
        if not self.take(text):
            found = self.next.text or "the end"
            raise refuse(f"{text!r} expected, not {found!r}", self.next.position, instead)

    def sees_name(self, *names: str) -> bool:
        """Is the next token one of these words, which are words of the grammar only here?"""
        return self.next.kind is Kind.NAME and self.next.text.lower() in names

    def take_name(self, *names: str) -> str:
        """Pass over one of `names` and return it in lower case; "" if none is next."""
        return self.advance().text.lower() if self.sees_name(*names) else ""
