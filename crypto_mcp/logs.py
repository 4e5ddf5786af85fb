"""Structured logs on standard error: JSON lines for machines, colours for a terminal.

Every line carries what is bound to the context: request id, job id, worker, trace. Arguments and results are never
logged; arq would log both, so its loggers are raised above that.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from crypto_mcp.logfiles import DailyFiles

if TYPE_CHECKING:
    from crypto_mcp.settings import LogSettings

_TALKATIVE = ("arq.worker", "arq.jobs", "arq.connections", "httpx2", "httpcore2", "pymongo", "mcp", "uvicorn.access")

_TRACEBACK = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
"""Without local variables: they hold arguments and passwords."""


def configure(settings: LogSettings) -> None:
    """Sets up structlog, and the standard library's logging to come out the same way."""
    level = logging.getLevelNamesMapping()[settings.level]
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    stream: Any = sys.stderr
    if settings.folder is not None:
        stream = DailyFiles(settings.folder, _role(), sys.stderr, days=settings.days)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.ExceptionRenderer(_TRACEBACK), structlog.processors.JSONRenderer(_json)]
        if as_json
        else [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _printable(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escapes what a terminal would obey, or take for a line of its own; JSON does so by itself."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception" and not value.isprintable():
            event[name] = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in value)
    return event


def _role() -> str:
    """What this process is, for the names of its files: `serve`, `worker`, `scheduler`."""
    word = sys.argv[1] if len(sys.argv) > 1 else "crypto-mcp"
    return "".join(character for character in word if character.isalnum() or character == "-") or "crypto-mcp"


def _json(event: Any, default: Any = str, **_: Any) -> str:
    return orjson.dumps(event, default=default).decode()
