"""A line of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding is to be taken."""

    FINE = "fine"
    WARNING = "warning"
    WRONG = "wrong"


MARKS = {Level.FINE: "[green]ok[/]", Level.WARNING: "[yellow]warning[/]", Level.WRONG: "[bold red]wrong[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis."""

    level: Level
    subject: str
    detail: str
    hint: str = ""
