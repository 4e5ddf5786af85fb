"""Field-level encryption of what a channel must know and a reader of the database must not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto_mcp.errors import CryptoMcpError, InvalidRequest

if TYPE_CHECKING:
    from crypto_mcp.settings import NotifySettings


class NoEncryptionKey(InvalidRequest):
    """Numbers and secrets are not kept without a key to encrypt them with."""

    code = "no_encryption_key"


class SealBroken(CryptoMcpError):
    """What is stored was encrypted with a key that is not known here."""

    code = "wrong_encryption_key"


class Seal:
    """Encrypts with the first key (Fernet: AES-128-CBC and HMAC-SHA256), decrypts with any.

    A mark finds what is encrypted: a keyed hash (HMAC-SHA256), the same for the same text under one key.
    """

    def __init__(self, secrets: list[str]) -> None:
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(each, b"seal"))) for each in secrets])
        self._marking = [_derived(each, b"mark") for each in secrets]

    @classmethod
    def of(cls, settings: NotifySettings) -> Seal:
        """With the keys of the settings; `NoEncryptionKey` if there are none."""
        if settings.encryption_key is None:
            raise NoEncryptionKey(
                "no key is set to encrypt numbers and secrets with",
                hint="The operator sets CRYPTO_MCP_NOTIFY__ENCRYPTION_KEY to a random text of 32 characters or more.",
            )
        keys = [settings.encryption_key, *settings.former_encryption_keys]
        return cls([each.get_secret_value() for each in keys])

    def close(self, text: str) -> str:
        """The text, encrypted."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text; `SealBroken` if no key opens it."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise SealBroken(
                "an encrypted field cannot be read",
                hint="The key it was written with belongs into CRYPTO_MCP_NOTIFY__FORMER_ENCRYPTION_KEYS.",
            ) from None

    def mark(self, text: str) -> str:
        """The mark under the newest key."""
        return self.marks(text)[0]

    def marks(self, text: str) -> list[str]:
        """The marks under all keys, the newest first."""
        return [hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32] for key in self._marking]


def _derived(secret: str, purpose: bytes) -> bytes:
    """A key for one purpose (HKDF, RFC 5869)."""
    return HKDF(SHA256(), 32, None, b"crypto-mcp notify " + purpose).derive(secret.encode())
