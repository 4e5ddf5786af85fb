"""What a container that is not of the stack reaches of it: 80 and 443, and nothing else."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any

from tests.swarm.engine import docker

if TYPE_CHECKING:
    from tests.swarm.engine import Stack

OPEN = {80, 443}
INSIDE = {2375, 5432, 6379, 8080, 8081, 27017}
"""Docker's gate, PostgreSQL, Redis, front ends, the sandbox, MongoDB."""

_LOOKS = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def open_(at):
    with socket.socket() as s:
        s.settimeout(1.0)
        return s.connect_ex(at) == 0
places = [tuple(p) for p in json.load(sys.stdin)]
with ThreadPoolExecutor(64) as pool:
    print(json.dumps([p for p, yes in zip(places, pool.map(open_, places)) if yes]))
"""


async def look_from_outside(stack: Stack) -> dict[str, Any]:
    """From Docker's default network: ports that answer at the host, and at addresses of the stack's containers.

    That the look can find something is shown from a container of the stack, which reaches the queue's Redis.
    """
    running = await stack.all_containers()
    addresses = sorted({network["IPAddress"] for each in running.values() for network in _networks(each)} - {""})
    name = f"foreign-{secrets.token_hex(4)}"
    image = running[(await stack.containers("worker-alerts"))[0]]["Config"]["Image"]
    words = ("run", "-d", "--rm", "--name", name, "--user", "0:0", "--entrypoint", "sleep", image, "600")
    await docker(*words)
    try:
        (foreign,) = json.loads(await docker("inspect", name))
        host = foreign["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
        at_host = await _look(name, [(host, port) for port in sorted(OPEN | INSIDE)])
        at_containers = await _look(name, [(a, port) for a in addresses for port in sorted(OPEN | INSIDE)])
    finally:
        await docker("rm", "-f", name)
    seen_inside = await _look((await stack.containers("worker-alerts"))[0], [("redis-queue", 6379)])
    ports = {port for _, port in at_host}
    return {
        "host_answers": sorted(ports),
        "containers_looked_at": len(running),
        "addresses_looked_at": len(addresses),
        "containers_answer": sorted(f"{address}:{port}" for address, port in at_containers),
        "inside_answers": bool(seen_inside),
        "right": ports == OPEN and not {port for _, port in at_containers} & INSIDE and bool(seen_inside),
    }


def _networks(container: dict[str, Any]) -> list[dict[str, Any]]:
    return list(container["NetworkSettings"]["Networks"].values())


async def _look(container: str, places: list[tuple[str, int]]) -> list[tuple[str, int]]:
    found = await docker("exec", "-i", container, "python3", "-c", _LOOKS, given=json.dumps(places))
    return [(address, port) for address, port in json.loads(found)]


async def refused_and_led_on(url: str, authority: str) -> dict[str, Any]:
    """What nginx does with what is not for everybody: 80 leads to 443, metrics are not there, TLS 1.2 is refused."""
    codes = {}
    for path in ("/health", "/metrics", "/health/infrastructure", "/v1/jobs"):
        codes[path] = await _curl("--cacert", authority, f"{url}{path}")
    codes["http"] = await _curl(f"{url.replace('https://', 'http://')}/health")
    codes["tls1.2"] = await _curl("--cacert", authority, "--tls-max", "1.2", f"{url}/health")
    wanted = {"/health": "200", "/metrics": "404", "/health/infrastructure": "404", "/v1/jobs": "401"}
    return {"codes": codes, "right": codes == wanted | {"http": "308", "tls1.2": "000"}}


async def _curl(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()
