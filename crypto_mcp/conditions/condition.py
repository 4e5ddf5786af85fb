"""A condition: what it was written as, what it does, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from crypto_mcp.analysis.findings import Bools
from crypto_mcp.conditions.history import bars_needed, begins_anywhere, within
from crypto_mcp.conditions.operations import Context, run
from crypto_mcp.conditions.parser import parsed
from crypto_mcp.conditions.plan import Plan
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.timeframes import Timeframe

Higher = Mapping[Timeframe, Candles]


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition; hashable, and free to be used by several threads.

    Attributes:
        text: as it was written.
        plan: the operations it stands for.
        sentence: how it reads.
    """

    text: str
    plan: Plan
    sentence: str

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1024)
def parse(text: str) -> Condition:
    """The condition that `text` says. ConditionError, with the column, where it is none."""
    plan, sentence = parsed(text)
    return Condition(text, plan, sentence)


def evaluate(condition: Condition, candles: Candles, higher: Higher | None = None) -> Bools:
    """At the close of which bars the condition is true: bool, one a bar; False while history is too short to say.

    Args:
        condition: from `parse`.
        candles: closed bars, validated; any number.
        higher: candles of the timeframes in `tf()`; those that are not given are made of `candles`.

    Raises:
        ConditionError: a timeframe in `tf()` is neither given nor a multiple of the bars' length.
    """
    result: Bools = run(condition.plan, Context(candles, higher or {}))
    return result


def evaluate_last(condition: Condition, candles: Candles, higher: Higher | None = None) -> bool:
    """Whether the condition is true at the newest bar: what `evaluate` says of it, from no more bars than it takes.

    Averages that never forget are given so much history that what is left of older bars is below a billionth; a
    comparison as close as that may go either way.
    """
    if not len(candles):
        return False
    if begins_anywhere(condition.plan):
        given = frozenset(higher or ())
        candles = candles[-bars_needed(condition.plan, candles.step, given) :]
    return bool(evaluate(condition, candles, higher)[-1])


def lookback(condition: Condition, timeframe: Timeframe) -> int:
    """Bars of `timeframe` to fetch, the newest included, for the condition to be judged at the newest."""
    return bars_needed(condition.plan, timeframe.milliseconds)


def timeframes(condition: Condition) -> dict[Timeframe, int]:
    """Timeframes that the condition looks at by `tf()`, with the bars of each that it needs."""
    found: dict[Timeframe, int] = {}
    for part in within(condition.plan):
        for step in part.steps:
            if step.operation == "tf" and isinstance(step.options[1], Plan):
                timeframe = Timeframe(str(step.options[0]))
                needed = bars_needed(step.options[1], timeframe.milliseconds)
                found[timeframe] = max(needed, found.get(timeframe, 0))
    return found


def explain(condition: Condition) -> str:
    """The condition as a sentence."""
    return condition.sentence
