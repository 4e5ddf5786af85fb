"""Certificates of a stack: what they are good for, when they are renewed, that real TLS accepts them."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.deploy.certificate_files import certificates_in, make_certificates
from crypto_mcp.deploy.errors import DeployError
from crypto_mcp.deploy.secret_files import make_secrets, versions
from tests.servers import free_port

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)


async def test_a_client_that_trusts_the_authority_is_served_and_one_that_asks_for_another_name_is_not(
    tmp_path: Path,
) -> None:
    """The handshake is TLS 1.3 with the name checked; another name and another authority are refused."""
    make_certificates(tmp_path, ["shop.example"], NOW)
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    here.load_cert_chain(tmp_path / "nginx.crt", tmp_path / "nginx.key")
    port = free_port()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port, ssl=here)

    async def versions_spoken(name: str, authority: Path) -> str | None:
        trusting = ssl.create_default_context(cafile=str(authority))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
        spoken: str | None = writer.get_extra_info("ssl_object").version()
        writer.close()
        return spoken

    async with server:
        assert await versions_spoken("shop.example", tmp_path / "ca.crt") == "TLSv1.3"
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await versions_spoken("else.example", tmp_path / "ca.crt")
        other = tmp_path / "other"
        other.mkdir()
        make_certificates(other, ["shop.example"], NOW)
        with pytest.raises(ssl.SSLCertVerificationError):
            await versions_spoken("shop.example", other / "ca.crt")


def test_certificates_are_kept_until_they_end_soon_or_lack_a_name(tmp_path: Path) -> None:
    """A second run makes nothing; a month before the end, or for a new name, the server's is made anew."""
    assert sum(each.made for each in make_certificates(tmp_path, ["a.example"], NOW)) == 4
    before = (tmp_path / "ca.crt").read_bytes()
    assert not any(each.made for each in make_certificates(tmp_path, ["a.example"], NOW))
    renamed = make_certificates(tmp_path, ["a.example", "b.example"], NOW)
    assert [each.path.name for each in renamed if each.made] == ["nginx.crt"]
    late = NOW + timedelta(days=370)
    assert [each.path.name for each in certificates_in(tmp_path, late) if each.due] == [
        "mongodb.crt",
        "nginx.crt",
        "postgresql.crt",
        "redis.crt",
    ]
    assert sum(each.made for each in make_certificates(tmp_path, ["a.example"], late)) == 4
    assert (tmp_path / "ca.crt").read_bytes() == before


def test_a_key_that_is_not_the_authoritys_is_refused(tmp_path: Path) -> None:
    """Signing with a wrong key would make certificates that nobody accepts."""
    make_certificates(tmp_path, [], NOW)
    (tmp_path / "ca.key").write_bytes((tmp_path / "redis.key").read_bytes())
    with pytest.raises(DeployError, match="is not the key of"):
        make_certificates(tmp_path, ["new.example"], NOW)


def test_secrets_are_made_once_and_no_role_gets_anothers(tmp_path: Path) -> None:
    """A second run changes no file, the folder is closed, and front ends and workers know no account of backups."""
    folder = tmp_path / "secrets"
    make_secrets(folder, ["a.example"], NOW)
    before = versions(sorted(folder.iterdir()))
    make_secrets(folder, ["a.example"], NOW)
    assert versions(sorted(folder.iterdir())) == before
    assert "FRONT_ENV_VERSION" in before
    assert folder.stat().st_mode & 0o777 == 0o700
    front, worker = (folder / "front.env").read_text(), (folder / "worker.env").read_text()
    assert "PEPPER" in front
    assert "PEPPER" not in worker
    for text in (front, worker):
        assert "NOTIFY__ENCRYPTION_KEY" in text
        assert "BACKUP" not in text
        assert "admin:" not in text
    assert "nopass" not in (folder / "redis.acl").read_text()
