"""The line of JSON that travels on a list."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from crypto_mcp.errors import CryptoMcpError, InvalidRequest
from crypto_mcp.job_kind import Catalogue, JobKind
from crypto_mcp.jobs import keys
from crypto_mcp.models.answers import LOCAL
from crypto_mcp.validation import explain

_ID = r"^[A-Za-z0-9_.-]{1,64}$"


class BadEnvelope(InvalidRequest):
    """What was pushed is no job."""

    code = "bad_envelope"


class Envelope(BaseModel):
    """A job as pushed. From outside only `kind` and `params` are required."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=100)
    params: dict[str, Any] = {}
    id: str | None = Field(None, pattern=_ID)
    submitted_at: float | str | None = None
    reply_to: str | None = Field(None, min_length=1, max_length=200)
    trace: str | None = Field(None, max_length=200)
    client: str | None = Field(None, max_length=100)

    @field_validator("reply_to")
    @classmethod
    def _not_ours(cls, name: str | None) -> str | None:
        if name is not None and (name.startswith(keys.RESERVED_PREFIXES) or name.endswith((":queue", ":pending"))):
            raise ValueError("is a name the queue itself uses")
        return name


@dataclass(frozen=True, slots=True)
class Accepted:
    """A checked envelope: its kind is known, its parameters fit, it has an id."""

    id: str
    kind: JobKind[Any, Any]
    params: BaseModel
    text: bytes
    reply_to: str = ""
    trace: str = ""
    client: str = ""


def new_id() -> str:
    """A job id that cannot be guessed: 96 random bits."""
    return secrets.token_hex(12)


def params_digest(kind: JobKind[Any, Any], params: BaseModel, client: str = "") -> str:
    """Equal for equal requests, however they were spelled: defaults filled in, keys sorted.

    Of a kind whose answers are owned, requests of two clients are never equal.
    """
    owner = (client or LOCAL) if kind.owned else ""
    canonical = _as_json([kind.name, owner, params.model_dump(mode="json")], orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(canonical, digest_size=16).hexdigest()


def write(job_id: str, kind: JobKind[Any, Any], params: BaseModel, *, reply_to: str, trace: str, client: str) -> bytes:
    """The line for a job of ours."""
    optional = {"reply_to": reply_to, "trace": trace, "client": client}
    body = {"id": job_id, "kind": kind.name, "params": params.model_dump(mode="json")}
    return _as_json(body | {name: value for name, value in optional.items() if value})


def _as_json(body: Any, option: int | None = None) -> bytes:
    """Python knows texts and numbers that JSON of others does not. Names keep their order, which may mean something."""
    try:
        return orjson.dumps(body, option=option)
    except TypeError as error:
        raise InvalidRequest(
            f"a parameter cannot be sent: {error}",
            hint="Texts are Unicode without lone surrogates, numbers 64 bits long.",
        ) from None


def read(raw: bytes, list_name: str, catalogue: Catalogue, max_bytes: int) -> Accepted:
    """What was pushed, checked; `BadEnvelope` and its like say what is wrong with it."""
    if len(raw) > max_bytes:
        raise BadEnvelope(f"the envelope has {len(raw)} bytes", hint=f"Send at most {max_bytes} bytes.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadEnvelope(f"not JSON: {error}", hint='Push one JSON object: {"kind": ..., "params": {...}}') from None
    if not isinstance(body, dict):
        raise BadEnvelope("not a JSON object", hint='Push one JSON object: {"kind": ..., "params": {...}}')
    try:
        envelope = Envelope.model_validate(body)
    except ValidationError as error:
        raise BadEnvelope(explain(error), hint="docs/queue.md describes the envelope.") from None
    kind = catalogue[envelope.kind]
    if kind.list != list_name:
        raise BadEnvelope(f"{kind.name} does not belong on {list_name}", hint=f"Push it to {kind.list}.")
    try:
        params = kind.params.model_validate(envelope.params)
    except ValidationError as error:
        raise InvalidRequest(explain(error), hint=f"An example that works: {dict(kind.example)}") from None
    text = raw
    if envelope.id is None:
        envelope.id = new_id()
        text = orjson.dumps(body | {"id": envelope.id})
    return Accepted(
        id=envelope.id,
        kind=kind,
        params=params,
        text=text,
        reply_to=envelope.reply_to or "",
        trace=envelope.trace or "",
        client=envelope.client or "",
    )


def dead_entry(
    raw: bytes, list_name: str, error: CryptoMcpError, *, job_id: str | None, attempts: int, worker: str, at: float
) -> bytes:
    """What the dead list keeps of an envelope, with the reason: enough to understand it and to replay it.

    `envelope` is the text as it was pushed; bytes that are no UTF-8 are kept in hexadecimal as `envelope_hex`.
    Without a `job_id` the script that stores the entry adds it.
    """
    try:
        envelope = {"envelope": raw.decode()}
    except UnicodeDecodeError:
        envelope = {"envelope_hex": raw.hex()}
    reason = {"code": error.code, "message": error.message, "hint": error.hint}
    entry = {
        **({} if job_id is None else {"job_id": job_id}),
        "list": list_name,
        "reason": reason,
        "attempts": attempts,
        "worker": worker,
        "died_at": at,
    }
    return orjson.dumps(entry | envelope)


def hints(raw: bytes) -> tuple[str, str]:
    """Kind and reply list that an envelope which was refused may still name; '' where it does not."""
    try:
        envelope = Envelope.model_validate(orjson.loads(raw))
    except (orjson.JSONDecodeError, ValidationError):
        return "", ""
    return envelope.kind, envelope.reply_to or ""


def named_id(raw: bytes) -> str:
    """The id that an envelope names, whatever else is wrong with it; '' if it names none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return ""
    named = body.get("id") if isinstance(body, dict) else None
    return named if isinstance(named, str) and re.fullmatch(_ID, named) else ""
