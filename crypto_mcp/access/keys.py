"""API keys: what they look like, how they are kept.

    cmcp_<12 characters to find it by>_<43 characters of secret>

Only a keyed hash (HMAC-SHA256) is stored: whoever reads the database has no key, and cannot try guesses without the
pepper, which is a setting. 256 random bits need no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

_SHAPE = re.compile(r"cmcp_([a-z2-7]{12})_([A-Za-z0-9_-]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its holder has it. Shown once, never written down here.

    Attributes:
        key_id: by which it is found and named; no secret.
        text: the whole key.
    """

    key_id: str
    text: str = field(repr=False)

    @classmethod
    def minted(cls) -> ApiKey:
        """A new one."""
        key_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
        return cls(key_id, f"cmcp_{key_id}_{secrets.token_urlsafe(32)}")

    @classmethod
    def read(cls, text: str) -> ApiKey | None:
        """The key that a header holds; None if it has not the shape of one."""
        found = _SHAPE.fullmatch(text)
        return cls(found[1], text) if found else None

    def digest(self, pepper: str) -> bytes:
        """What is stored of it."""
        return hmac.digest(pepper.encode(), self.text.encode(), hashlib.sha256)

    def matches(self, digest: bytes, pepper: str) -> bool:
        """Whether a stored digest is this key's, in a time that tells nothing."""
        return hmac.compare_digest(self.digest(pepper), digest)
