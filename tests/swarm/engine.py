"""The stack through the docker command, as an operator has it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOOK_EVERY = 0.25


class DockerFailed(Exception):
    """A docker command ended with an error."""


async def docker(*words: str, given: str = "") -> str:
    """What a docker command prints; `given` is its input. Raises `DockerFailed`."""
    process = await asyncio.create_subprocess_exec(
        "docker", *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate(given.encode())
    if process.returncode != 0:
        raise DockerFailed(f"docker {' '.join(words[:4])}: {err.decode().strip()[-500:]}")
    return out.decode()


async def until(condition: Callable[[], Awaitable[bool]], within: float, what: str) -> float:
    """Seconds until a condition holds. Raises `TimeoutError` that says what did not come true."""
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > within:
            raise TimeoutError(f"not within {within:g} s: {what}")
        await asyncio.sleep(_LOOK_EVERY)
    return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack by its name."""

    name: str

    def service(self, short: str) -> str:
        """A service as the swarm calls it."""
        return f"{self.name}_{short}"

    async def containers(self, service: str, *, healthy: bool = False) -> list[str]:
        """Ids of a service's running containers."""
        words = ["ps", "-q", "--no-trunc", "--filter", f"label=com.docker.swarm.service.name={self.service(service)}"]
        return (await docker(*words, *(["--filter", "health=healthy"] if healthy else []))).split()

    async def all_containers(self) -> dict[str, dict[str, Any]]:
        """Every running container of the stack as `docker inspect` has it, by id."""
        ids = (await docker("ps", "-q", "--filter", f"label=com.docker.stack.namespace={self.name}")).split()
        return {each["Id"]: each for each in json.loads(await docker("inspect", *ids))}

    async def wanted(self, service: str) -> int:
        """How many replicas the swarm was told to run."""
        (found,) = json.loads(await docker("service", "inspect", self.service(service)))
        mode = found["Spec"]["Mode"]
        return int(mode["Replicated"]["Replicas"]) if "Replicated" in mode else 1

    async def whole(self, service: str, *, without: str = "") -> bool:
        """Whether as many containers as wanted run and are healthy, none of them this one."""
        (template,) = json.loads(await docker("service", "inspect", self.service(service)))
        checked = template["Spec"]["TaskTemplate"]["ContainerSpec"].get("Healthcheck", {"Test": [""]})
        healthy = (checked.get("Test") or [""])[0] != "NONE" and service != "docker-gate"
        running = await self.containers(service, healthy=healthy)
        return without not in running and len(running) >= await self.wanted(service)

    async def inside(self, service: str, *words: str, given: str = "") -> str:
        """What a command prints in a healthy container of a service."""
        for container in await self.containers(service, healthy=True):
            return await docker("exec", "-i", container, *words, given=given)
        raise DockerFailed(f"no container of {service} is healthy")

    async def leader(self) -> str:
        """The scheduler's container that leads, by what it logged last of it."""
        for container in await self.containers("scheduler"):
            lines = [json.loads(line) for line in (await _log(container)).splitlines() if line.startswith("{")]
            said = [line["event"] for line in lines if line.get("event") in ("leads", "stands by")]
            if said and said[-1] == "leads":
                return container
        raise DockerFailed("no scheduler leads")


async def _log(container: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "docker", "logs", container, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode()
