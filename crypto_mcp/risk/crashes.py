"""Recorded crashes, applied to what is held now.

Falls are facts: hourly lows of Binance USD-M perpetuals against the last close before the crash's window, all of the
one hour in which the mean low was lowest (`tests/calibration/crash_table.py` computes them). Symbols that were not
recorded then are taken to have fallen like the mean of the recorded ones other than BTC, and are named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Crash:
    """A crash: its hour and the falls in it, shares by base asset."""

    name: str
    hour: str
    falls: Mapping[str, float]

    def fall(self, base: str) -> tuple[float, bool]:
        """The fall of an asset, and whether it is the proxy."""
        if base in self.falls:
            return self.falls[base], False
        others = [fall for asset, fall in self.falls.items() if asset != "BTC"]
        return sum(others) / len(others), True


CRASHES = (
    Crash(
        "2020-03 pandemic",
        "2020-03-13T02:00Z",
        {"BNB": -0.6241, "BTC": -0.5438, "ETH": -0.5676, "LINK": -0.6425},
    ),
    Crash(
        "2021-05 mining ban",
        "2021-05-19T13:00Z",
        {"BNB": -0.5082, "BTC": -0.331, "DOGE": -0.5702, "ETH": -0.5851, "LINK": -0.5413, "SOL": -0.4459},
    ),
    Crash(
        "2022-05 LUNA",
        "2022-05-12T07:00Z",
        {"BNB": -0.3917, "BTC": -0.2175, "DOGE": -0.4486, "ETH": -0.2952, "LINK": -0.4475, "SOL": -0.5076},
    ),
    Crash(
        "2022-11 FTX",
        "2022-11-09T21:00Z",
        {"BNB": -0.2257, "BTC": -0.2436, "DOGE": -0.364, "ETH": -0.2976, "LINK": -0.3571, "SOL": -0.6815},
    ),
)


@dataclass(frozen=True, slots=True)
class Stressed:
    """What a crash does: the loss of the whole (positive), the base that loses most, and the bases that are proxied."""

    name: str
    loss: float
    worst: str | None
    proxied: tuple[str, ...]


def stress(bases: Sequence[str], exposures: Sequence[float]) -> list[Stressed]:
    """Every recorded crash on exposures (amounts, negative for shorts) by base asset."""
    return [_hit(crash.name, bases, exposures, [crash.fall(base) for base in bases]) for crash in CRASHES]


def custom_stress(bases: Sequence[str], exposures: Sequence[float], shocks: Mapping[str, float]) -> Stressed:
    """Shocks in percent by base asset; `*` is that of all others, zero if not given."""
    rest = shocks.get("*", 0.0)
    return _hit("custom", bases, exposures, [(shocks.get(base, rest) / 100, False) for base in bases])


def _hit(name: str, bases: Sequence[str], exposures: Sequence[float], falls: Sequence[tuple[float, bool]]) -> Stressed:
    losses = [-exposure * fall for exposure, (fall, _) in zip(exposures, falls, strict=True)]
    worst = max(range(len(losses)), key=losses.__getitem__, default=None)
    proxied = sorted({base for base, (_, proxy) in zip(bases, falls, strict=True) if proxy})
    return Stressed(name, sum(losses), None if worst is None or losses[worst] <= 0 else bases[worst], tuple(proxied))
