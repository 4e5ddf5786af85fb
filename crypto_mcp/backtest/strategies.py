"""Built-in strategies, as data. Each is an example of the condition language; none is a recommendation."""

from __future__ import annotations

from crypto_mcp.models.strategy import Sizing, Strategy, Target

_BUILT_IN = (
    Strategy(
        name="ema_cross",
        summary="Buys when a fast average crosses above a slow one, sells when it crosses back.",
        entry="crosses_above(ema({fast}), ema({slow}))",
        exit="crosses_below(ema({fast}), ema({slow}))",
        stop="{stop}%",
        parameters={"fast": 9, "slow": 21, "stop": 3},
    ),
    Strategy(
        name="rsi_reversal",
        summary="Buys when RSI leaves oversold above the long average, sells when it is overbought.",
        entry="crosses_above(rsi({length}), {oversold}) and close > ema({trend})",
        exit="rsi({length}) > {overbought}",
        stop="{stop} atr",
        max_bars="{patience}",
        parameters={"length": 14, "oversold": 30, "overbought": 65, "trend": 200, "stop": 3, "patience": 96},
    ),
    Strategy(
        name="turtle",
        summary="Donchian breakout as the Turtles traded it (Curtis Faith, Way of the Turtle, 2007), long side.",
        entry="close > highest(high, {entry_bars})[1]",
        exit="close < lowest(low, {exit_bars})[1]",
        stop="{stop} atr",
        sizing=Sizing(method="risk", amount="{risk}"),
        parameters={"entry_bars": 20, "exit_bars": 10, "stop": 2, "risk": 1},
    ),
    Strategy(
        name="bollinger_squeeze",
        summary="Buys the break upwards out of narrow Bollinger bands (John Bollinger, 2001), with a trailing stop.",
        entry=(
            "within(bb_width({length}, 2) < lowest(bb_width({length}, 2), {quiet})[1] * 1.1, 10) "
            "and crosses_above(close, bb_upper({length}, 2))"
        ),
        exit="close < bb_middle({length}, 2)",
        stop="2 atr",
        trailing="{trail} atr",
        parameters={"length": 20, "quiet": 120, "trail": 3},
    ),
    Strategy(
        name="supertrend",
        summary="In the market while Supertrend points up.",
        entry="crosses_above(supertrend_direction({length}, {multiple}), 0)",
        exit="supertrend_direction({length}, {multiple}) < 0",
        parameters={"length": 10, "multiple": 3},
    ),
    Strategy(
        name="order_block_retest",
        summary="Buys where price comes back into a demand block while structure rises.",
        entry='in_order_block("demand") and not in_order_block("demand")[1] and structure_trend() == 1',
        exit='choch("bearish")',
        stop="structure",
        targets=[Target(at="{first}R", share=50), Target(at="{second}R", share=50)],
        break_even="1R",
        sizing=Sizing(method="risk", amount=1),
        parameters={"first": 1.5, "second": 3},
    ),
    Strategy(
        name="fvg_fill",
        summary="Buys into a bullish fair value gap in rising structure, expecting it to hold.",
        entry='in_fvg("bullish") and not in_fvg("bullish")[1] and close > ema({trend})',
        stop="{stop} atr",
        targets=[Target(at="{target}R")],
        max_bars=72,
        sizing=Sizing(method="risk", amount=1),
        parameters={"trend": 100, "stop": 2, "target": 2},
    ),
    Strategy(
        name="choch_reversal",
        summary="Buys a change of character upwards that volume confirms, sells the opposite one.",
        entry='choch("bullish", "internal") and volume > {much} * sma(volume, 20)',
        exit='choch("bearish")',
        stop="structure",
        trailing="{trail} atr",
        parameters={"much": 1.2, "trail": 5},
    ),
    Strategy(
        name="vwap_reversion",
        summary="Buys far below the volume-weighted average price in a quiet market, sells at it.",
        entry="close < rolling_vwap({length}) - {far} * atr(14) and adx(14) < {strength}",
        exit="close >= rolling_vwap({length})",
        stop="{stop} atr",
        max_bars="{patience}",
        parameters={"length": 24, "far": 2, "strength": 25, "stop": 3, "patience": 48},
    ),
    Strategy(name="buy_and_hold", summary="Buys at the first open and never sells.", entry="close > 0"),
)
STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in _BUILT_IN}
