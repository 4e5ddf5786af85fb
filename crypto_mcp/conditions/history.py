"""How many bars a condition needs."""

from __future__ import annotations

from collections.abc import Iterator

from crypto_mcp.analysis.indicators import INDICATORS
from crypto_mcp.analysis.indicators.candlesticks import PATTERN_BARS
from crypto_mcp.conditions.plan import Plan, Step
from crypto_mcp.models.timeframes import Timeframe

# Findings are followed for 1000 bars; the swings behind them and the usual range want more before that.
STRUCTURE_BARS = 2000
# Divergences: the averages of MACD, the spread of its readings, two swings.
EVENT_BARS = {"pattern": PATTERN_BARS, "divergence": 800}
# Bars that an operation looks back at beyond the number it is given.
_REACH = {"shift": 0, "change": 0, "bars_since": 0} | dict.fromkeys(
    ("within", "always", "count", "highest", "lowest", "total"), -1
)


def bars_needed(plan: Plan, step: int, given: frozenset[Timeframe] = frozenset()) -> int:
    """Bars of `step` milliseconds, the newest included, from which the newest value is what all history would give.

    Args:
        plan: of the condition.
        step: length of a bar, milliseconds.
        given: timeframes whose bars come separately instead of being made of these.
    """
    before: list[int] = []
    for action in plan.steps:
        reach = max((before[i] for i in action.inputs), default=0)
        before.append(reach + _own(action, step, given))
    return before[-1] + 1


def _own(action: Step, step: int, given: frozenset[Timeframe]) -> int:
    if action.operation == "event":
        return EVENT_BARS.get(str(action.options[0]), STRUCTURE_BARS)
    if action.operation == "tf":
        return _of_higher(action, step, given)
    if action.operation == "indicator":
        name, settings = action.options
        needs = INDICATORS[str(name)].needs
        assert isinstance(settings, tuple)
        return needs(step, *settings) if needs else 1
    more = _REACH.get(action.operation)
    return 0 if more is None else int(str(action.options[0])) + more


def _of_higher(action: Step, step: int, given: frozenset[Timeframe]) -> int:
    timeframe, inner = Timeframe(str(action.options[0])), action.options[1]
    assert isinstance(inner, Plan)
    if timeframe in given:
        return 0
    # One group that began before the first bar, and one that has not closed.
    groups = bars_needed(inner, timeframe.milliseconds) + 2
    return groups * max(1, -(-timeframe.milliseconds // step))


def within(plan: Plan) -> Iterator[Plan]:
    """The plan and those inside its `tf()`."""
    yield plan
    for action in plan.steps:
        if action.operation == "tf" and isinstance(action.options[1], Plan):
            yield from within(action.options[1])


def begins_anywhere(plan: Plan) -> bool:
    """Whether its values do not depend on where history begins: nothing in it adds up from the first bar."""
    return not any(
        action.operation == "indicator" and INDICATORS[str(action.options[0])].needs is None
        for part in within(plan)
        for action in part.steps
    )
