"""Alerts as people write them: `BTC > 45k`, `eth rsi 1h < 30`, `sol +5% in 1h`. Turned into the condition language."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crypto_mcp.conditions.functions import NAMES, OUTPUTS
from crypto_mcp.models.symbols import exchange_symbol
from crypto_mcp.models.timeframes import Timeframe

_SYMBOL = re.compile(r"\s*[$#]?([^\W_]{1,20}(?:[/\-][^\W_]{2,10})?)(?=\s)")
_WORDS = frozenset({*NAMES, "not", "and", "or", "true", "false"})
_FRAME = re.compile(
    r"(?<![\w.\"'(])(1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d|3d|1w|daily|weekly|hourly)(?![\w\"')])", re.IGNORECASE
)
_NAMED_FRAMES = {"daily": "1d", "weekly": "1w", "hourly": "1h"}
_OPERATORS = {
    ">=": ">=", "<=": "<=", ">": ">", "<": "<", "above": ">", "over": ">", "below": "<", "under": "<",
    "reaches": "crosses", "hits": "crosses", "crosses": "crosses",
    "crosses above": "crosses_above", "breaks above": "crosses_above", "rises above": "crosses_above",
    "crosses below": "crosses_below", "breaks below": "crosses_below", "falls below": "crosses_below",
}  # fmt: skip
_OPERATOR = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in sorted(_OPERATORS, key=len, reverse=True))
NUMBER = r"\$?\s*(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)\s*([kmb])?"
_SCALES = {"k": 3, "m": 6, "b": 9}

_LEVEL = re.compile(rf"(?:price\s+|is\s+)*({_OPERATOR})\s*{NUMBER}", re.IGNORECASE)
_MOVE = re.compile(
    r"(?:price\s+)?(moves?|changes?|up|rises?|gains?|down|falls?|drops?|loses?|\+|-)?\s*(?:by\s+)?(\d+(?:\.\d+)?)\s*%"
    r"(?:\s*(?:in|within|over|per)\s*(\d+)?\s*(minutes?|mins?|m|hours?|h|days?|d|weeks?|w))?",
    re.IGNORECASE,
)
_VOLUME = re.compile(
    r"volume\s*(?:spike\s*)?(>=?|above|over)?\s*(\d+(?:\.\d+)?)\s*(?:x|times)(?:\s*(?:the\s+)?average)?", re.IGNORECASE
)
_INDICATOR = re.compile(
    rf"([a-z_]\w*)\s*(\(\s*[\d.,\s]*\)|\d+)?\s*({_OPERATOR})\s*(-?)\s*{NUMBER}\s*(%)?", re.IGNORECASE
)
_STRUCTURE = re.compile(
    r"(?:(new|enters|in|touches)\s+(?:an?\s+)?)?(bullish|bearish|demand|supply)?\s*"
    r"(bos|choch|sweep|fvg|fair value gap|order block|demand|supply|zone)\s*(?:zone)?\s*"
    r"(bullish|bearish|demand|supply)?",
    re.IGNORECASE,
)
_THEN = re.compile(r"(.+?)\s+then\s+(.+?)\s+within\s+(\d{1,3})\s+bars?", re.IGNORECASE)
_K = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)k(?!\w)", re.IGNORECASE)

_FINEST = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.D1)
_MOST_BARS = 500
_UNITS = {"m": 1, "h": 60, "d": 1440, "w": 10_080}


@dataclass(frozen=True, slots=True)
class Written:
    """What a text says.

    Attributes:
        symbol: in the exchange's spelling; None where none is named.
        timeframe: of the bars, where it is named or follows from a window.
        condition: in the language.
        places: of each character of the condition where it stands in the text, from 0; empty for a shortcut.
        from_now: percent of the price now that the level lies away, for `+5%` without a window.
    """

    symbol: str | None
    timeframe: Timeframe | None
    condition: str
    places: tuple[int, ...] = ()
    from_now: float | None = None


def read(text: str, *, named: bool, words: frozenset[str] = frozenset()) -> Written:
    """What is written. What is no shortcut is taken for a condition of the language as it stands.

    Args:
        text: of the user.
        named: whether the symbol is known already: then none is looked for at the front.
        words: further words that no symbol has, such as `drawdown`.
    """
    symbol, begin = _symbol(text, named=named, words=words)
    timeframe, plain, places = _timeframe(text, begin)
    short = _shortcut(plain.strip().rstrip("."))
    if short is not None:
        return Written(symbol, short.timeframe or timeframe, short.condition, (), short.from_now)
    return Written(symbol, timeframe, *_spelled_out(plain, places))


def _spelled_out(plain: str, places: list[int]) -> tuple[str, tuple[int, ...]]:
    """The text with `45k` as 45000, without blanks around it; each character with its place."""
    parts: list[tuple[str, int]] = []
    end = 0
    for found in _K.finditer(plain):
        parts += zip(plain[end : found.start()], places[end : found.start()], strict=True)
        parts += ((digit, places[found.start()]) for digit in spelled(found[1], "k"))
        end = found.end()
    parts += zip(plain[end:], places[end:], strict=True)
    written = "".join(character for character, _ in parts)
    first, last = len(written) - len(written.lstrip()), len(written.rstrip())
    return written[first:last], tuple(place for _, place in parts[first:last])


def _symbol(text: str, *, named: bool, words: frozenset[str]) -> tuple[str | None, int]:
    """The symbol at the front and where the rest begins."""
    found = _SYMBOL.match(text)
    if named or found is None or found[1].lower() in _WORDS | words or not found[1].strip("0123456789"):
        return None, 0
    return exchange_symbol(found[1]), found.end()


def _timeframe(text: str, begin: int) -> tuple[Timeframe | None, str, list[int]]:
    """The timeframe that stands by itself behind `begin`, the text without it, and where its characters stand.

    That of a window (`in 1h`) stays.
    """
    rest = text[begin:]
    for found in _FRAME.finditer(rest):
        before = rest[: found.start()].rstrip().lower()
        if before.endswith((" in", " within", " over", " per", ">", "<", "=")) or before in ("in", "within", "over"):
            continue
        name = found[1].lower()
        behind = rest[found.end() :].lstrip()
        places = [*range(begin, begin + found.start()), *range(len(text) - len(behind), len(text))]
        return Timeframe(_NAMED_FRAMES.get(name, name)), rest[: found.start()] + behind, places
    return None, rest, list(range(begin, len(text)))


def _shortcut(text: str) -> Written | None:
    for pattern, make in (
        (_LEVEL, _level),
        (_MOVE, _move),
        (_VOLUME, _volume),
        (_STRUCTURE, _structure),
        (_INDICATOR, _indicator),
        (_THEN, _then),
    ):
        found = pattern.fullmatch(text)
        if found is not None and (made := make(found)) is not None:
            return made
    return None


def _compared(left: str, operator: str, right: str) -> str:
    sign = _OPERATORS[" ".join(operator.lower().split())]
    return f"{sign}({left}, {right})" if sign.startswith("crosses") else f"{left} {sign} {right}"


def _level(found: re.Match[str]) -> Written:
    operator, number, scale = found.groups()
    return Written(None, None, _compared("price", operator, spelled(number, scale)))


def _move(found: re.Match[str]) -> Written | None:
    way, percent, count, unit = found.groups()
    sign = {"u": 1, "r": 1, "g": 1, "+": 1, "d": -1, "f": -1, "l": -1, "-": -1}.get((way or " ")[0].lower(), 0)
    if unit is None:
        return Written(None, None, "", (), sign * float(percent)) if sign else None
    minutes = int(count or 1) * _UNITS[unit[0].lower()]
    for timeframe in _FINEST:
        bars, rest = divmod(minutes * 60_000, timeframe.milliseconds)
        if not rest and 1 <= bars <= _MOST_BARS:
            change = f"change(close, {bars})"
            condition = {1: f"{change} >= {percent}%", -1: f"{change} <= -{percent}%"}.get(
                sign, f"abs({change}) >= {percent}%"
            )
            return Written(None, timeframe, condition)
    return None


def _volume(found: re.Match[str]) -> Written:
    return Written(None, None, f"volume > {found[2]} * sma(volume, 20)")


def _structure(found: re.Match[str]) -> Written | None:
    verb, front, what, back = (part.lower() if part else "" for part in found.groups())
    way = front or back or (what if what in ("demand", "supply") else "")
    side = {"bullish": "demand", "bearish": "supply"}.get(way, way)
    direction = {"demand": "bullish", "supply": "bearish"}.get(way, way)
    if what in ("bos", "choch", "sweep"):
        return Written(None, None, f'{what}("{direction}")' if direction else f"{what}()")
    inside = verb in ("enters", "in", "touches") or what in ("zone", "demand", "supply")
    if what in ("order block", "zone", "demand", "supply"):
        name = "in_order_block" if inside else "new_order_block"
        return Written(None, None, f'{name}("{side}")' if side else f"{name}()")
    name = "in_fvg" if inside else "new_fvg"
    return Written(None, None, f'{name}("{direction}")' if direction else f"{name}()")


def _indicator(found: re.Match[str]) -> Written | None:
    name, arguments, operator, sign, number, scale, percent = found.groups()
    if name.lower() not in OUTPUTS and name.lower() != "volume":
        return None
    settings = f"({arguments.strip('() ')})" if arguments and arguments.strip("() ") else ""
    right = f"{sign}{spelled(number, scale)}{percent or ''}"
    return Written(None, None, _compared(f"{name.lower()}{settings}", operator, right))


def _then(found: re.Match[str]) -> Written | None:
    first, second = (_part(found[place]) for place in (1, 2))
    return Written(None, None, f"within(({first})[1], {found[3]}) and ({second})")


def _part(text: str) -> str:
    short = _shortcut(text.strip())
    return short.condition if short is not None and short.condition else text.strip()


def spelled(digits: str, scale: str | None) -> str:
    """As the language writes it, exactly: `45k` is 45000, `1.5m` 1500000."""
    whole, _, part = digits.replace(",", "").partition(".")
    places = _SCALES.get((scale or "").lower(), 0)
    part = part.ljust(places, "0")
    whole, part = (whole or "0") + part[:places], part[places:].rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{part}" if part else "")
