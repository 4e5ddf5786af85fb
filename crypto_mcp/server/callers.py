"""What is known and kept of those who call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crypto_mcp.access.rates import RateLimits
    from crypto_mcp.access.sessions import Sessions
    from crypto_mcp.server.recording import Recorder


@dataclass(frozen=True, slots=True)
class Callers:
    """Their limits, their sessions, and the record of their calls."""

    rates: RateLimits
    sessions: Sessions
    recorder: Recorder
