"""The command line: light, and clear when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.cli import main
from crypto_mcp.cli.knobs import env_example, knobs
from crypto_mcp.settings import Settings
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
HEAVY = {"fastapi", "mcp", "motor", "numba", "numpy", "polars", "pydantic", "pymongo", "redis", "talib", "uvicorn"}


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `crypto-mcp` in a directory of its own; status, output and error output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crypto-mcp", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, said.out, said.err

    return run


def test_starting_the_command_line_imports_nothing_heavy() -> None:
    program = f"import sys, crypto_mcp.cli.app; print(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_names_every_command(command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = command("--help")
    assert status == 0
    for name in ("run", "serve", "worker", "scheduler", "sandbox", "stdio", "call", "jobs", "dead", "doctor"):
        assert f" {name} " in out


def test_an_error_is_code_message_and_hint_and_never_a_traceback(
    command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTO_MCP_SERVER__PORT", str(free_port()))
    status, out, err = command("call", "analyze_crypto", "symbol=BTCUSDT")
    assert status == 1
    assert out == ""
    assert "no front end answers" in err
    assert "[unavailable]" in err
    assert "hint:  Start everything with `crypto-mcp run`" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("call", "analyze_crypto", "BTCUSDT"), "[invalid_request]"),
        (("call", "analyze_crypto", "symbols=[oops"), "[invalid_request]"),
    ],
)
def test_wrong_arguments_are_explained(
    command: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], code: str
) -> None:
    status, _, err = command(*arguments)
    assert status == 1
    assert code in err
    assert "hint:" in err


def test_a_worker_for_an_unknown_list_does_not_start() -> None:
    """In a process of its own: a worker sets up logging for good."""
    done = subprocess.run(
        [sys.executable, "-m", "crypto_mcp.cli", "worker", "no:such:list"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "[unknown_list]" in done.stderr
    assert "analysis:queue" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"), [("CRYPTO_MCP_SERVER__PORT", "eighty"), ("CRYPTO_MCP_SERVER__PROT", "8080")]
)
def test_a_wrong_setting_is_named(
    command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    status, _, err = command("doctor")
    assert status == 1
    assert variable.removeprefix("CRYPTO_MCP_").lower().replace("__", ".") in err
    assert "[bad_settings]" in err


def test_settings_lists_every_setting_and_no_password(
    command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTO_MCP_REDIS__QUEUE_URL", "redis://:topsecret@queue.example:6379/2")
    status, out, _ = command("settings")
    assert status == 0
    assert "topsecret" not in out
    assert "redis://:***@queue.example:6379/2" in out
    for knob in knobs(Settings(_env_file=None)):
        assert knob.variable in out
        assert knob.description, knob.variable


def test_the_example_of_settings_is_up_to_date() -> None:
    """Run `crypto-mcp settings --env > .env.example` after changing a setting."""
    assert (ROOT / ".env.example").read_text() == env_example()


def test_the_example_of_settings_can_be_used_as_it_is(tmp_path: Path) -> None:
    uncommented = [line.removeprefix("# ") for line in env_example().splitlines() if line.startswith("# CRYPTO_MCP_")]
    (tmp_path / ".env").write_text("\n".join(uncommented))
    assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)


def test_commands_find_the_stack_that_runs_here(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `crypto-mcp run` wrote holds unless the environment or `.env` says otherwise."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "run.env").write_text("CRYPTO_MCP_MONGO__DATABASE=ran\nCRYPTO_MCP_SERVER__PORT=9001\n")
    (tmp_path / ".env").write_text(f"CRYPTO_MCP_LOCAL__DATA={data}\nCRYPTO_MCP_SERVER__PORT=9002\n")
    _, out, _ = command("settings")
    shown = {words[0]: words[1] for line in out.splitlines() if len(words := line.split()) > 1}
    assert shown["CRYPTO_MCP_MONGO__DATABASE"] == "ran"
    assert shown["CRYPTO_MCP_SERVER__PORT"] == "9002"
    monkeypatch.setenv("CRYPTO_MCP_SERVER__PORT", "9003")
    _, out, _ = command("settings")
    assert "9003" in out


def test_a_client_in_another_directory_finds_the_stack_of_its_virtual_environment(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkout" / ".local").mkdir(parents=True)
    (tmp_path / "checkout" / ".local" / "run.env").write_text("CRYPTO_MCP_MONGO__DATABASE=ran\n")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "checkout" / ".venv"))
    _, out, _ = command("settings")
    assert "CRYPTO_MCP_MONGO__DATABASE ran" in " ".join(out.split())


def test_module_and_command_are_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crypto_mcp.cli", "settings", "--env"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("CRYPTO_MCP_")},
    )
    assert done.stdout == env_example()
    assert json.dumps(done.stderr) == '""'
