"""A page of another site in this machine's browser has none of the local user's rights."""

from __future__ import annotations

import httpx2
import pytest

OWN = "127.0.0.1:8080"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8080"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": OWN, "origin": "http://localhost:3000"}, 200),
        ({"host": OWN, "sec-fetch-site": "same-origin"}, 200),
        ({"host": OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),  # a link in a message
        ({"host": "evil.example"}, 403),  # its name led to 127.0.0.1 a moment later
        ({"host": "evil.example:8080"}, 403),
        ({"host": "localhost.evil.example:8080"}, 403),
        ({"host": "localhost:8080.evil.example"}, 403),
        ({"host": "localhost:"}, 403),
        ({"host": ""}, 403),
        ({"host": OWN, "origin": "https://evil.example"}, 403),
        ({"host": OWN, "origin": "http://localhost.evil.example"}, 403),
        ({"host": OWN, "origin": "null"}, 403),
        ({"host": OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
    ],
)
async def test_without_a_key_only_pages_of_this_machine_may_call(
    http: httpx2.AsyncClient, headers: dict[str, str], status: int
) -> None:
    """By a request that a browser sends without asking first: no body, no header of its own."""
    for answered in (
        await http.get("/v1/session", headers=headers),
        await http.post("/v1/dead/analysis:queue/none/replay", headers=headers),
    ):
        assert (answered.status_code == 403) is (status == 403), answered.text
    assert (await http.get("/health", headers=headers)).status_code == 200
