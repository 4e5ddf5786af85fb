"""`crypto-mcp` against a front end that wants a key."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from crypto_mcp.cli.configuration import BadSettings
from crypto_mcp.cli.front_end import front_end, own_front_end
from crypto_mcp.settings import ClientSettings, Settings
from tests.server.conftest import closed, directory, door, stores
from tests.server.doors import with_key

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from crypto_mcp.access.directory import Directory

__all__ = ["closed", "directory", "door", "stores"]

ROOT = Path(__file__).parents[2]
Command: TypeAlias = "Callable[..., Coroutine[None, None, tuple[int, str, str]]]"


@pytest.fixture
async def key(directory: Directory) -> str:
    _, headers = await with_key(directory)
    return headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def key_file(tmp_path: Path, key: str) -> Path:
    path = tmp_path / "key"
    path.write_text(key + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `crypto-mcp` as its own process; status, output, error output."""

    async def run(*arguments: str, given: str = "", **more: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crypto_mcp.cli", *arguments),
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "200", "PYTHONPATH": str(ROOT), **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate(given.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    return run


async def test_a_key_from_a_file_from_the_environment_or_from_standard_input_opens_the_door(
    command: Command, door: str, key: str, key_file: Path
) -> None:
    """And is in no output, however the command ends; without one the door stays shut."""
    call = ("call", "echo", "text=hello")
    for arguments, more in (
        (("--url", door, "--key-file", str(key_file)), {}),
        ((), {"CRYPTO_MCP_CLIENT__URL": door, "CRYPTO_MCP_CLIENT__KEY_FILE": str(key_file)}),
        ((), {"CRYPTO_MCP_CLIENT__URL": door, "CRYPTO_MCP_CLIENT__KEY": key}),
        (("--url", door, "--key-file", "-"), {"given": key}),
    ):
        status, out, err = await command(*arguments, *call, **more)
        assert status == 0, err
        assert "hello" in out
        status, out, err = await command(*arguments, "jobs", **more)
        assert status == 0, err
        refused, told, why = await command(*arguments, "call", "ecko", **more)
        assert refused == 1
        assert key not in out + err + told + why
    status, _, err = await command("--url", door, *call)
    assert status == 1
    assert "[unauthorized]" in err
    _, shown, _ = await command("settings", CRYPTO_MCP_CLIENT__KEY=key)
    assert "CRYPTO_MCP_CLIENT__KEY" in shown
    assert key not in shown


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
async def test_a_key_that_others_may_read_or_change_is_refused(
    command: Command, door: str, key_file: Path, mode: int
) -> None:
    key_file.chmod(mode)
    status, _, err = await command("--url", door, "--key-file", str(key_file), "jobs")
    assert status == 1
    assert "chmod 600" in err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"url": "http://example.com", "key": "cmcp_x"}, "unencrypted"),
        ({"url": "https://example.com", "key": "two words"}, "is none"),
        ({"url": "https://example.com", "key": "a\r\nX-Other: b"}, "is none"),
        ({"url": "https://example.com", "key": "cmcp_y", "key_file": "/etc/hostname"}, "there is a key and a file"),
        ({"url": "https://example.com", "key_file": "/no/such/file"}, "cannot be read"),
        ({"url": "https://example.com", "ca_file": "/no/such/file"}, "no certificates"),
        ({"url": "example.com"}, "address"),
        ({"url": "https://name:word@example.com"}, "address"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(asked: dict[str, str], said: str) -> None:
    settings = Settings(_env_file=None, client=ClientSettings.model_validate(asked))
    with pytest.raises(BadSettings, match=said) as refused, front_end(settings):
        pass
    assert asked.get("key", "cmcp_x") not in refused.value.message


def test_this_machine_is_asked_where_it_is_meant() -> None:
    """Whatever front end commands ask."""
    elsewhere = ClientSettings.model_validate({"url": "https://example.com", "key": "cmcp_x"})
    with own_front_end(Settings(_env_file=None, client=elsewhere)) as client:
        assert client.url == "http://127.0.0.1:8080"


async def test_a_key_pair_is_registered_and_signs_on_the_command_line(
    command: Command, door: str, closed: Settings, directory: Directory, tmp_path: Path
) -> None:
    """As docs/security.md says it is done; the private half stays in its file, which nobody else may read."""
    name, headers = await with_key(directory)
    key_id = headers["Authorization"].removeprefix("Bearer cmcp_").partition("_")[0]
    pair = Ed25519PrivateKey.generate()
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    pepper = closed.access.pepper
    assert pepper is not None
    operator = {
        "CRYPTO_MCP_ACCESS__PEPPER": pepper.get_secret_value(),
        "CRYPTO_MCP_POSTGRES__URL": closed.postgres.url.get_secret_value(),
    }
    for wrong in ((str(private),), (), (str(public), "--remove")):
        status, _, err = await command("keys", "signing-key", key_id, *wrong, **operator)
        assert status == 1, err
    status, _, err = await command("keys", "signing-key", key_id, str(public), **operator)
    assert status == 0, err
    status, _, err = await command("keys", "signing-secret", key_id, **operator)
    assert status == 1
    assert "key pair" in err

    path = f"/v1/users/{name}/export"
    sign = ("sign", "GET", path, "--key-id", key_id, "--private-key", str(private))
    private.chmod(0o644)
    status, _, err = await command(*sign)
    assert status == 1
    assert "chmod 600" in err
    private.chmod(0o600)
    status, out, err = await command(*sign)
    assert status == 0, err
    signature = dict(line.split(": ", 1) for line in out.splitlines())
    async with httpx2.AsyncClient(base_url=door, headers=headers) as http:
        assert (await http.get(path, headers=signature)).status_code == 200
        assert (await http.get(path, headers=signature)).status_code == 403
