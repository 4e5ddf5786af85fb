"""What an answer other than a good one means: try again now, keep away for a while, or never ask that again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from crypto_mcp.errors import CryptoMcpError, InvalidRequest, SourceUnavailable
from crypto_mcp.retry_after import asked_pause

if TYPE_CHECKING:
    import httpx2

PAUSE_WITHOUT_ADVICE = 60.0
LEAST_PAUSE = 1.0


class SourceRefuses(InvalidRequest):
    """The provider refuses this request for good: asked again it will say the same."""

    code = "source_refuses"

    def __init__(
        self, message: str, *, hint: str = "", retry_after: float | None = None, provider_code: int = 0
    ) -> None:
        super().__init__(message, hint=hint, retry_after=retry_after)
        self.provider_code = provider_code


class SourceForbidden(SourceUnavailable):
    """The provider does not serve this location or this key: a setting has to change, time alone will not help."""

    code = "source_forbidden"
    retryable = False


class SourceMissing(SourceUnavailable):
    """The provider is switched off, or needs a key that is not set."""

    code = "source_missing"
    retryable = False


class Passing(Exception):
    """Worth another try within this call."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Nobody asks the provider for so many seconds. `why` goes on after its host: `asks to slow down`.

    `limit`: the allowance that the refusal named, None if it named none.
    """

    seconds: float
    why: str
    hint: str = ""
    kind: type[SourceUnavailable] = SourceUnavailable
    limit: int | None = None


Judgement = Passing | Stop | CryptoMcpError


class Judge(Protocol):
    """Reads a provider's refusals."""

    def __call__(self, response: httpx2.Response, host: str) -> Judgement:
        """What a response other than 200 means."""
        ...


def retry_after(response: httpx2.Response, default: float = PAUSE_WITHOUT_ADVICE, least: float = LEAST_PAUSE) -> float:
    """Seconds the header `Retry-After` asks for, given as a number or as a date."""
    pause = asked_pause(response.headers.get("retry-after"))
    return default if pause is None else max(least, pause)
