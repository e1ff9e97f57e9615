"""Pseudonyms: what stands for an identifier of a person in everything that is kept.

Here: the keyed hash, in Python and as SQL, and the key's file.
Not here: which columns are identifiers (loops, landing.rules.events).
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any

from orchestration.settings import Settings

KEY_FILE = "pseudonym.key"
DIGITS = 32
_BLOCK = 64


class Pseudonyms:
    """HMAC-SHA256 of an identifier, cut to its first 128 bits: 32 hexadecimal digits.

    The same identifier and key give the same pseudonym in every column and file; without the key nobody can tell
    which identifier it stands for, not even by trying all of them. Source: RFC 2104, whose section 5 allows the cut.
    """

    def __init__(self, key: bytes) -> None:
        if not key:
            raise ValueError("The key of pseudonyms is empty: set FLYWHEEL_PSEUDONYM_KEY to at least 16 characters.")
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms(key hidden)"

    @classmethod
    def of(cls, settings: Settings) -> "Pseudonyms":
        """With the key that is set, else with the one in the home, which is made when there is none."""
        if settings.pseudonym_key is not None:
            return cls(settings.pseudonym_key.get_secret_value().encode())
        return cls.kept_in(settings.root)

    @classmethod
    def kept_in(cls, home: Path) -> "Pseudonyms":
        """With the key in the file `pseudonym.key` of `home`; whoever comes first makes it, for its owner alone."""
        file = home / KEY_FILE
        if not file.exists():
            home.mkdir(parents=True, exist_ok=True)
            draft = home / f".{KEY_FILE}.{os.getpid()}-{secrets.token_hex(4)}"
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
                handle.write(secrets.token_hex(32))
                handle.flush()
                os.fsync(handle.fileno())
            try:
                os.link(draft, file)  # unlike a rename, it fails when another process was first
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return cls(file.read_text().strip().encode())

    def pseudonym(self, identifier: str) -> str:
        return hmac.new(self._key, identifier.encode(), hashlib.sha256).hexdigest()[:DIGITS]

    @staticmethod
    def sql(expression: str) -> str:
        """The pseudonym of `expression` as SQL. It needs the parameters of `parameters`: no key stands in the text."""
        inner = f"sha256($inner_pad || encode({expression}))"
        return f"left(sha256($outer_pad || unhex({inner})), {DIGITS})"

    @property
    def parameters(self) -> dict[str, Any]:
        """The key as HMAC uses it, for a statement that holds `sql`."""
        key = hashlib.sha256(self._key).digest() if len(self._key) > _BLOCK else self._key
        padded = key.ljust(_BLOCK, b"\0")
        return {
            "inner_pad": bytes(byte ^ 0x36 for byte in padded),
            "outer_pad": bytes(byte ^ 0x5C for byte in padded),
        }
