"""Signed webhooks go to the public internet and to networks that the operator allowed, and nowhere else."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from crypto_mcp.deploy.certificate_files import make_certificates
from crypto_mcp.notify.sending import Meaning, SendFailed
from crypto_mcp.notify.webhook import ForbiddenAddress, Webhooks, check_url, new_secret
from crypto_mcp.settings import NotifySettings

LOOPBACK = NotifySettings(webhook_networks=[ip_network("127.0.0.0/8")], timeout=2)  # type: ignore[list-item]


@contextlib.contextmanager
def receiver(
    status: int = 204, headers: dict[str, str] | None = None, certificate: tuple[Path, Path] | None = None
) -> Iterator[tuple[str, list[Any]]]:
    """A web server that answers every POST so, over TLS with a certificate, and what it was sent: `(headers, body)`."""
    got: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers.items()), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http{'s' if certificate else ''}://localhost:{server.server_port}/hook", got
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.1.2.3/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://no-such-host.invalid/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://user:word@example.com/",
        "https://8.8.8.8:22/",
        "http://8.8.8.8/",
        "https:///path",
        "https://[::1",
        "https://exa mple.com/",
        "nonsense",
    ],
)
async def test_addresses_of_private_networks_and_strange_urls_are_refused(url: str) -> None:
    with pytest.raises(ForbiddenAddress) as refused:
        await check_url(url)
    assert refused.value.hint


async def test_a_name_that_has_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ForbiddenAddress):
        await check_url("https://rebinding.example/")


async def test_the_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves otherwise a moment later (DNS rebinding) does not change where the connection goes."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def once(host: str, *args: Any, **how: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if asked.count(host) == 1 else "127.0.0.2", *args, **how)

    with receiver() as (url, got):
        monkeypatch.setattr(socket, "getaddrinfo", once)
        hooks = Webhooks(LOOPBACK)
        assert await hooks.post(url.replace("localhost", "hook.example"), new_secret(b"x" * 24), "e1", {}) == 204
        await hooks.close()
    assert asked.count("hook.example") == 1
    assert got[0][0]["Host"].startswith("hook.example:")


async def test_where_nobody_listens_at_one_address_the_next_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is often ::1 first, and the server listens at 127.0.0.1 only."""
    with receiver() as (url, got):
        port = int(url.split(":")[2].split("/")[0])
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.9", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        hooks = Webhooks(LOOPBACK)
        assert await hooks.post(url, new_secret(b"x" * 24), "e", {}) == 204
        await hooks.close()
    assert len(got) == 1


async def test_the_certificate_must_be_of_the_name_though_the_address_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificates(tmp_path, ["hook.example"], datetime.now(UTC))
    hooks = Webhooks(LOOPBACK.model_copy(update={"webhook_ca": tmp_path / "ca.crt"}))
    with receiver(certificate=(tmp_path / "nginx.crt", tmp_path / "nginx.key")) as (url, got):
        port = int(url.split(":")[2].split("/")[0])
        here = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
        right, wrong = (url.replace("localhost", name) for name in ("hook.example", "other.example"))
        assert await hooks.post(right, new_secret(b"x" * 24), "e", {}) == 204
        with pytest.raises(SendFailed) as failed:
            await hooks.post(wrong, new_secret(b"x" * 24), "e", {})
    await hooks.close()
    assert failed.value.meaning is Meaning.RETRY
    assert len(got) == 1


async def test_an_event_is_signed_as_standard_webhooks_has_it() -> None:
    """The receiver's own computation over id, timestamp and the raw body gives the same signature."""
    key = b"k" * 24
    with receiver() as (url, got):
        hooks = Webhooks(LOOPBACK)
        await hooks.post(url, new_secret(key), "job_1", {"type": "job.finished", "data": {"a": "ä"}})
        await hooks.close()
    headers, body = got[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == "job_1"
    assert json.loads(body)["data"] == {"a": "ä"}


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(500, Meaning.RETRY), (429, Meaning.RETRY), (404, Meaning.FINAL), (410, Meaning.FINAL), (302, Meaning.FINAL)],
)
async def test_answers_are_told_apart_and_redirects_are_not_followed(status: int, meaning: Meaning) -> None:
    with receiver(status, {"Location": "http://localhost:1/", "Retry-After": "7"}) as (url, got):
        hooks = Webhooks(LOOPBACK)
        with pytest.raises(SendFailed) as failed:
            await hooks.post(url, new_secret(b"x" * 24), "e", {})
        await hooks.close()
    assert failed.value.meaning is meaning
    assert failed.value.retry_after == 7
    assert len(got) == 1
