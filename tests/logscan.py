"""A plugin for pytest: the run fails if a log line has a secret, a phone number or the size of a position.

Looked through are the output of every test and fixture, that is the logs of the test process and of children that
share its streams, and the log files of all processes of the product that the run starts: each writes into one folder,
named by the environment that it inherits. Side by side, the process that steers the others does it, at the end.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from tests import canaries

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "CRYPTO_MCP_LOG__FOLDER"

_LOOKS_LIKE = {
    "an API key": r"cmcp_[a-z2-7]{12}_[A-Za-z0-9_-]{43}",
    "a signing secret": r"cmcs_[A-Za-z0-9_-]{43}",
    "a webhook's secret": r"whsec_[A-Za-z0-9+/]{20,}",
    "an access token": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "a password in an address": r"(?:redis|mongodb|postgresql|https?)://[^\s:/@\"']*:(?!\*{3}@)[^\s:/@\"']+@",
    "a phone number": r"(?<!\d)1?2025550\d{3}(?!\d)",  # those that belong to nobody, as all in these tests do
}
_PLANTED = {
    "a secret": (canaries.PEPPER, canaries.ENCRYPTION_KEY, *canaries.PROVIDER_SECRETS),
    "a size": (canaries.AMOUNT, canaries.QUANTITY),
}
_PATTERN = re.compile(
    "|".join(
        [f"(?P<l{i}>{shape})" for i, shape in enumerate(_LOOKS_LIKE.values())]
        + [f"(?P<p{i}>{'|'.join(map(re.escape, texts))})" for i, texts in enumerate(_PLANTED.values())]
    )
)
_NAMES = {f"l{i}": name for i, name in enumerate(_LOOKS_LIKE)} | {f"p{i}": name for i, name in enumerate(_PLANTED)}


def leaks(text: str) -> Iterator[str]:
    """What was found, each with its line; what must not be seen is left out there too."""
    for found in _PATTERN.finditer(text):
        begin, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.end())
        line = text[begin : None if end < 0 else end]
        yield f"{_NAMES[str(found.lastgroup)]}: {_PATTERN.sub('[...]', line)[:500]}"


def leaks_of_files(folder: Path) -> Iterator[str]:
    """Of all log files below a folder, those of earlier days too."""
    for path in sorted(folder.rglob("*.log*")):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for leak in leaks(data.decode(errors="replace")):
            yield f"{path.name}: {leak}"


class LogScan:
    """Of the process that steers the run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Looks at what a test and its fixtures wrote, wherever it ran."""
        for name, text in report.sections:
            self._found.update(dict.fromkeys(f"{report.nodeid} ({name}): {leak}" for leak in leaks(text)))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fails a run that was fine otherwise."""
        self._found.update(dict.fromkeys(leaks_of_files(self._folder)))
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._found and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says where."""
        if self._found:
            terminalreporter.section("in the logs", red=True)
            for leak in self._found:
                terminalreporter.write_line(leak)


def pytest_configure(config: pytest.Config) -> None:
    """Names the folder, which the processes side by side inherit; tracebacks are the product's, without variables."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="logscan-"))
        os.environ[FOLDER] = str(folder)
        config.pluginmanager.register(LogScan(folder), "logscan")
