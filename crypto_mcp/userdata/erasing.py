"""Erasing a user: everywhere, once started until it is done, with a receipt that can be checked.

The erasure is written down before anything is removed. Each place can be erased again and again, so an erasure that was
cut off is started again by the same call and goes on. It ends when nothing is found any more.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto_mcp import base64url
from crypto_mcp.access.audit import record
from crypto_mcp.errors import CryptoMcpError, InvalidRequest
from crypto_mcp.stores.personal_rows import PersonalRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crypto_mcp.stores.postgres import PostgresStore
    from crypto_mcp.userdata.holdings import Holding

_ROUNDS = 10
_PAUSE = 0.5


class NotErased(CryptoMcpError):
    """Something of the user came again and again; the erasure is not over."""

    code = "not_erased"
    http_status = 503
    retryable = True


class BadReceipt(InvalidRequest):
    """The receipt is not what was given out here."""

    code = "bad_receipt"


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that is over."""

    erasure_id: str
    erased: dict[str, int]
    receipt: str


class Eraser:
    """Erases users. `pepper` is the secret of this installation: receipts are signed with a key made of it."""

    def __init__(self, holdings: Sequence[Holding], postgres: PostgresStore, pepper: str) -> None:
        self._holdings = holdings
        self._postgres = postgres
        self._pepper = pepper

    async def erase(self, user: str, *, actor: str, settle: float) -> Erasure:
        """Removes all there is of a user. `settle` seconds after the keys were taken no front end knows them any more.

        `StoreUnavailable` if a store is away: the same call goes on later.
        """
        erasure_id, erased = await self._begun(user, actor)
        await self._rows().lock_out(user)
        await asyncio.sleep(settle)
        for attempt in range(_ROUNDS):
            for holding in self._holdings:
                erased[holding.name] = erased.get(holding.name, 0) + await holding.erase(user)
                await self._note(erasure_id, erased)
            if not await self._left(user):
                return await self._ended(erasure_id, user, actor, erased)
            await asyncio.sleep(_PAUSE * (attempt + 1))
        raise NotErased(f"something of {user} is still being written", hint="Repeat it: it goes on.", retry_after=10)

    async def known(self) -> list[str]:
        """Users that were erased, for a restore of a backup brings them back."""
        async with self._postgres.connection() as connection:
            rows = await connection.fetch("SELECT DISTINCT user_id FROM erasures ORDER BY user_id")
        return [row["user_id"] for row in rows]

    def _rows(self) -> PersonalRows:
        return PersonalRows(self._postgres)

    async def _left(self, user: str) -> bool:
        for holding in self._holdings:
            async for _ in holding.read(user):
                return True
        return False

    async def _begun(self, user: str, actor: str) -> tuple[str, dict[str, int]]:
        """The erasure that was begun and not ended, or a new one."""
        async with self._postgres.connection() as connection, connection.transaction():
            found = await connection.fetchrow(
                "SELECT erasure_id, erased FROM erasures WHERE user_id = $1 AND finished_at IS NULL FOR UPDATE", user
            )
            if found is not None:
                return found["erasure_id"], orjson.loads(found["erased"])
            erasure_id = f"er_{secrets.token_hex(8)}"
            await connection.execute("INSERT INTO erasures (erasure_id, user_id) VALUES ($1, $2)", erasure_id, user)
            await record(connection, actor, "user.erase", user, {"erasure": erasure_id})
        return erasure_id, {}

    async def _note(self, erasure_id: str, erased: dict[str, int]) -> None:
        async with self._postgres.connection() as connection:
            await connection.execute(
                "UPDATE erasures SET erased = $2::jsonb WHERE erasure_id = $1",
                erasure_id,
                orjson.dumps(erased).decode(),
            )

    async def _ended(self, erasure_id: str, user: str, actor: str, erased: dict[str, int]) -> Erasure:
        now = datetime.now(UTC)
        receipt = sign_receipt(
            {
                "erasure": erasure_id,
                "user_sha256": hashlib.sha256(user.encode()).hexdigest(),
                "erased": erased,
                "finished_at": now.isoformat(timespec="seconds"),
                "kept": ["audit log", "backups until they age out; restores erase again"],
            },
            self._pepper,
        )
        async with self._postgres.connection() as connection, connection.transaction():
            await connection.execute(
                "UPDATE erasures SET finished_at = $2, receipt = $3 WHERE erasure_id = $1", erasure_id, now, receipt
            )
            await record(connection, actor, "user.erased", user, {"erasure": erasure_id, "erased": erased})
        return Erasure(erasure_id, erased, receipt)


def sign_receipt(facts: dict[str, Any], pepper: str) -> str:
    """`facts.signature`, both base64url: Ed25519 with a key made of the pepper (HKDF)."""
    body = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)
    return f"{base64url.encode(body)}.{base64url.encode(_key(pepper).sign(body))}"


def public_key(pepper: str) -> str:
    """With which anybody can check receipts, base64url."""
    return base64url.encode(_key(pepper).public_key().public_bytes_raw())


def read_receipt(receipt: str, key: str) -> dict[str, Any]:
    """What a receipt says, checked with a public key; `BadReceipt` if it was not signed with its other half."""
    try:
        body, signature = (_unb64(part) for part in receipt.strip().split("."))
        Ed25519PublicKey.from_public_bytes(_unb64(key)).verify(signature, body)
    except (ValueError, InvalidSignature):
        raise BadReceipt("the receipt is not signed by this installation", hint="Compare the public key.") from None
    facts: dict[str, Any] = orjson.loads(body)
    return facts


def _key(pepper: str) -> Ed25519PrivateKey:
    seed = HKDF(SHA256(), 32, None, b"crypto-mcp erasure receipts").derive(pepper.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
