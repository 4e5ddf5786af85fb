"""What the stack files promise: hardened services, one door, no secrets in the environment, all files declared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from crypto_mcp.deploy.secret_files import ROLES, variable
from crypto_mcp.settings import Settings
from scheduler.scaling.autoscaler import FRONT, GROUPS

ROOT = Path(__file__).parents[2]
BASE = ROOT / "compose" / "docker-compose.yml"
FILES = sorted((ROOT / "compose").glob("docker-compose*.yml"))
SECRET = re.compile(r"password|secret|token|pepper|_key$", re.IGNORECASE)


def services(path: Path) -> dict[str, dict[str, Any]]:
    """The services of a stack file."""
    return dict(yaml.safe_load(path.read_text()).get("services", {}))


def test_every_service_is_hardened_and_only_nginx_is_published() -> None:
    """Read-only, without capabilities, not root, within limits; 80 and 443 are the only ports of the host."""
    for name, service in services(BASE).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "crypto-mcp" in service["image"] or service["user"] != "0:0", name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        published = {port["published"] for port in service.get("ports", [])}
        assert published == ({80, 443} if name == "nginx" else set()), name


def test_databases_have_no_way_out_and_8080_is_on_the_front_network_only() -> None:
    """Databases are on the internal network alone; nginx is on the front ends' alone."""
    found = services(BASE)
    for name in ("redis-queue", "redis-cache", "mongodb", "postgresql", "init"):
        assert found[name]["networks"] == ["kaayaan-back"], name
    assert yaml.safe_load(BASE.read_text())["networks"]["kaayaan-back"]["internal"] is True
    assert found["nginx"]["networks"] == ["kaayaan-front"]
    others = [name for name, each in found.items() if "kaayaan-front" in each["networks"] and name != "nginx"]
    assert others == ["front"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_secret_is_in_an_environment_and_every_setting_exists(path: Path) -> None:
    """Whoever sees a service reads its environment; a setting of another name would be an error at the start."""
    for name, service in services(path).items():
        for key in service.get("environment", {}) or {}:
            assert not SECRET.search(key) or key.endswith(("__FILE", "WITHOUT_KEY")), (name, key)
            if key.startswith("CRYPTO_MCP_") and "__" in key:
                group, setting = key.removeprefix("CRYPTO_MCP_").lower().split("__", 1)
                assert setting in Settings.model_fields[group].annotation.model_fields, key  # type: ignore[union-attr]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_secrets_and_configs_are_declared_and_versioned_by_their_file(path: Path) -> None:
    """Each name carries the variable that `deploy versions` prints for its file; each file is there or is made."""
    whole = yaml.safe_load(path.read_text())
    for kind in ("secrets", "configs"):
        for name, declared in whole.get(kind, {}).items():
            file = path.parent / declared["file"]
            assert f"${{{variable(file)}:-0}}" in declared["name"], name
            assert file.exists() or "secrets/" in declared["file"], name
    known = {
        kind: set(yaml.safe_load(BASE.read_text())[kind]) | set(whole.get(kind, {})) for kind in ("secrets", "configs")
    }
    for service in whole.get("services", {}).values():
        for kind, names in known.items():
            assert {each["source"] for each in service.get(kind, [])} <= names


def test_roles_and_services_are_called_as_the_program_calls_them() -> None:
    """The autoscaler scales services by these names, and each role has its secret."""
    assert {*GROUPS, FRONT} <= services(BASE).keys()
    assert {f"{role}-settings" for role in ROLES} <= set(yaml.safe_load(BASE.read_text())["secrets"])


@pytest.mark.parametrize(("words", "has", "lacks"), [
    (["server"], {"fastapi", "mcp", "click"}, {"numba", "polars", "pytest"}),
    (["worker"], {"arq", "numba", "click"}, {"fastapi", "pytest", "vectorbt"}),
    (["--only", "hatchling"], {"hatchling", "pathspec"}, {"numba"}),
])  # fmt: skip
def test_an_image_gets_what_its_role_needs_with_hashes(words: list[str], has: set[str], lacks: set[str]) -> None:
    """The lines of the lock, each with its hashes, and nothing of other roles."""
    command = [sys.executable, str(ROOT / "compose" / "locked.py"), "pick", *words]
    picked = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^([a-z0-9][a-z0-9-]*)==", picked, re.MULTILINE))
    assert has <= names
    assert not lacks & names
    assert picked.count("--hash=sha256:") >= len(names)
