"""Replicas of a swarm's services, over Docker's API (v1.41): https://docs.docker.com/engine/api/v1.41/#tag/Service"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import httpx2

from crypto_mcp.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

_API = "/v1.41"
_WITHIN = 5.0


class ScalerUnavailable(Unavailable):
    """Docker does not answer, or not as its API says."""

    code = "scaler_unavailable"


class Scales(Protocol):
    """Something that runs replicas."""

    async def replicas(self) -> Mapping[str, int]:
        """How many are wanted at the moment, by service."""

    async def scale(self, service: str, replicas: int) -> None:
        """Wants another number from now on."""


class DockerSwarm:
    """Services of a stack. `url` is http://host:port or unix:///path."""

    def __init__(self, url: str, stack: str) -> None:
        self._stack = stack
        socket = url.removeprefix("unix://") if url.startswith("unix://") else None
        transport = httpx2.AsyncHTTPTransport(uds=socket) if socket else None
        self._http = httpx2.AsyncClient(
            base_url="http://docker" if socket else url, transport=transport, timeout=_WITHIN
        )

    async def replicas(self) -> dict[str, int]:
        """How many are wanted of each replicated service, by its name without the stack's."""
        return {
            service["Spec"]["Name"].removeprefix(f"{self._stack}_"): service["Spec"]["Mode"]["Replicated"]["Replicas"]
            for service in await self._services()
            if "Replicated" in service["Spec"]["Mode"]
        }

    async def scale(self, service: str, replicas: int) -> None:
        """Changes the number and nothing else; a change by somebody else in between is refused by Docker."""
        found = [s for s in await self._services() if s["Spec"]["Name"] == f"{self._stack}_{service}"]
        if not found:
            raise ScalerUnavailable(f"the stack {self._stack} has no service {service}")
        spec = found[0]["Spec"]
        spec["Mode"]["Replicated"]["Replicas"] = replicas
        version = found[0]["Version"]["Index"]
        await self._ask("POST", f"{_API}/services/{found[0]['ID']}/update?version={version}", spec)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _services(self) -> list[dict[str, Any]]:
        found = await self._ask("GET", f"{_API}/services")
        ours = f"{self._stack}_"
        return [service for service in found if service["Spec"]["Name"].startswith(ours)]

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        try:
            response = await self._http.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise ScalerUnavailable(f"Docker does not answer ({type(error).__name__})") from error
        if response.is_error:
            raise ScalerUnavailable(f"Docker answers {response.status_code}: {response.text[:200]}")
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise ScalerUnavailable("Docker answers with something that is no JSON") from error
