"""Colours and sizes of a chart. Chosen for a phone held at arm's length: few colours, large letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ThemeName = Literal["dark", "light"]


@dataclass(frozen=True, slots=True)
class Theme:
    """One look; colours as hexadecimal RGB."""

    background: str
    panel: str
    ink: str
    faint: str
    grid: str
    up: str
    down: str
    demand: str
    supply: str
    gap: str
    fast: str
    slow: str
    accent: str


DARK = Theme(
    background="#0e1117",
    panel="#0e1117",
    ink="#e6e8ec",
    faint="#8b93a1",
    grid="#1e2530",
    up="#2bb673",
    down="#e5534b",
    demand="#2bb673",
    supply="#e5534b",
    gap="#7a8cff",
    fast="#f0b429",
    slow="#5aa9e6",
    accent="#c792ea",
)

LIGHT = Theme(
    background="#ffffff",
    panel="#ffffff",
    ink="#1b1f27",
    faint="#6a7280",
    grid="#e8ebf0",
    up="#1a8f57",
    down="#c93a32",
    demand="#1a8f57",
    supply="#c93a32",
    gap="#4458d6",
    fast="#b7791f",
    slow="#2b6cb0",
    accent="#7b3fb3",
)

THEMES: dict[ThemeName, Theme] = {"dark": DARK, "light": LIGHT}

WIDTH_INCHES, HEIGHT_INCHES, DPI = 7.2, 9.0, 150
"""1080 x 1350 pixels: what a messenger shows without scaling on a phone held upright."""
