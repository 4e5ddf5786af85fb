"""On whose behalf market data is asked for: who goes first, and how long they would wait for their turn."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Priority(StrEnum):
    """Who goes first when the allowance gets short."""

    INTERACTIVE = "interactive"
    """Somebody waits for the answer."""

    SCAN = "scan"
    """Many symbols at once."""

    ARCHIVE = "archive"
    """Filling in what is wanted some day."""


RESERVED = {Priority.INTERACTIVE: 0.0, Priority.SCAN: 0.15, Priority.ARCHIVE: 0.4}
"""Part of a window's allowance that is kept from each for those before it. It is released as the window passes."""

ALWAYS_RESERVED = {Priority.INTERACTIVE: 0.0, Priority.SCAN: 0.02, Priority.ARCHIVE: 0.05}
"""Part that is kept to the window's end, so that an interactive call finds room at any moment."""

PATIENCE = {Priority.INTERACTIVE: 10.0, Priority.SCAN: 15.0, Priority.ARCHIVE: 90.0}
"""Seconds they wait for their turn unless they say otherwise."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Priority and patience (seconds) of what the running task asks for; `alone`: nobody else asks the same."""

    priority: Priority = Priority.INTERACTIVE
    patience: float = PATIENCE[Priority.INTERACTIVE]
    alone: bool = False


_ASKING: ContextVar[Asking] = ContextVar("asking", default=Asking())  # noqa: B039 - frozen


def asking() -> Asking:
    """On whose behalf the running task asks."""
    return _ASKING.get()


@contextmanager
def asking_as(priority: Priority, *, patience: float | None = None, alone: bool = False) -> Iterator[None]:
    """Everything asked inside, also by tasks that are started inside, has this priority and patience.

    `alone`: the caller has seen to it that no other process asks the same, so answers are not shared.
    """
    token = _ASKING.set(Asking(priority, PATIENCE[priority] if patience is None else patience, alone))
    try:
        yield
    finally:
        _ASKING.reset(token)
