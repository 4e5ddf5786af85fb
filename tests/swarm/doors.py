"""What a container that is not of the stack reaches of it: 80 and 443, and nothing else."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.swarm.engine import docker

if TYPE_CHECKING:
    from tests.swarm.engine import Stack

OPEN = {80, 443}
INSIDE = {2375, 5432, 6379, 8080, 8081, 27017}
"""Docker's gate, PostgreSQL, Redis, front ends, the sandbox, MongoDB."""

_INSIDE = [("redis-queue", 6379), ("mongodb", 27017), ("postgresql", 5432), ("front", 8080)]
"""What a worker reaches."""

_SPEAKS = """
import json, socket, ssl, sys
from concurrent.futures import ThreadPoolExecutor
said = json.load(sys.stdin)
ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ours.check_hostname = False
ours.load_verify_locations(cadata=said["authority"])
asks = {80: ("/", b"Location: https://"), 8080: ("/health", b'"version"'), 8081: ("/api/v3/ping", b"{}")}
asks[2375] = ("/_ping", b"OK")
def speaks(place):
    try:
        with socket.create_connection(place, 2.0) as s:
            if place[1] in asks:
                path, answer = asks[place[1]]
                s.sendall(f"GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n".encode())
                return answer in s.makefile("rb").read()
            if place[1] == 5432:
                s.sendall(bytes.fromhex("0000000804d2162f"))
                if s.recv(1) != b"S":
                    return False
            with ours.wrap_socket(s):
                return True
    except OSError:
        return False
places = [tuple(p) for p in said["places"]]
with ThreadPoolExecutor(32) as pool:
    print(json.dumps([p for p, yes in zip(places, pool.map(speaks, places)) if yes]))
"""
"""Which places are servers of the stack: HTTP that answers as ours does, TLS by our authority. That a connection opens
says nothing where a network answers for every address, as some firewalls and proxies do."""


async def look_from_outside(stack: Stack, authority: str) -> dict[str, Any]:
    """From Docker's default network: ports that answer at the host, and at addresses of the stack's containers.

    That the look finds what there is to be found is shown from a container of the stack.
    """
    running = await stack.all_containers()
    pem = await asyncio.to_thread(Path(authority).read_text)

    async def look(container: str, places: list[tuple[str, int]]) -> list[tuple[str, int]]:
        given = json.dumps({"authority": pem, "places": places})
        found = await docker("exec", "-i", container, "python3", "-c", _SPEAKS, given=given)
        return [(address, port) for address, port in json.loads(found)]

    addresses = sorted({network["IPAddress"] for each in running.values() for network in _networks(each)} - {""})
    name = f"foreign-{secrets.token_hex(4)}"
    image = running[(await stack.containers("worker-alerts"))[0]]["Config"]["Image"]
    words = ("run", "-d", "--rm", "--name", name, "--user", "0:0", "--entrypoint", "sleep", image, "600")
    await docker(*words)
    try:
        (foreign,) = json.loads(await docker("inspect", name))
        host = foreign["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
        at_host = await look(name, [(host, port) for port in sorted(OPEN | INSIDE)])
        at_containers = await look(name, [(a, port) for a in addresses for port in sorted(OPEN | INSIDE)])
    finally:
        await docker("rm", "-f", name)
    seen_inside = await look((await stack.containers("worker-alerts"))[0], _INSIDE)
    ports = {port for _, port in at_host}
    return {
        "host_answers": sorted(ports),
        "containers_looked_at": len(running),
        "addresses_looked_at": len(addresses),
        "containers_answer": sorted(f"{address}:{port}" for address, port in at_containers),
        "inside_answers": sorted(f"{name}:{port}" for name, port in seen_inside),
        "right": ports == OPEN and not at_containers and len(seen_inside) == len(_INSIDE),
    }


def _networks(container: dict[str, Any]) -> list[dict[str, Any]]:
    return list(container["NetworkSettings"]["Networks"].values())


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
