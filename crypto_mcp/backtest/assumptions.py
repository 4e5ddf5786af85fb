"""What a result took for granted, and what weakens it, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crypto_mcp.backtest.funding import USUAL_PERCENT, PaidFunding, known_from
from crypto_mcp.backtest.prepare import ATR_LENGTH, VOLATILITY_LENGTH, Prepared
from crypto_mcp.backtest.run import Run
from crypto_mcp.models.backtest import BacktestParams, Costs
from crypto_mcp.models.strategy import Strategy

FEW_TRADES = 30


def assumptions(
    strategy: Strategy, params: BacktestParams, prepared: Prepared, funding: Mapping[str, PaidFunding]
) -> list[str]:
    """Every rule of the market that a run of this strategy, its parameters filled in, was played by."""
    said = [*_fills(strategy, prepared), *_costs(strategy, params)]
    if params.market == "perpetual":
        said.append(f"{_funding(params.costs, prepared, funding)}; out of the margin, on prices of the spot market.")
    return [*said, *_money(strategy, params)]


def _funding(costs: Costs, prepared: Prepared, paid: Mapping[str, PaidFunding]) -> str:
    if costs.funding is not None:
        return f"Funding of {costs.funding:g}% at 0, 8 and 16 h UTC, longs to shorts; a rate taken as constant"
    known = known_from(prepared.open_time, paid, prepared.symbols)
    usual = f"{USUAL_PERCENT:g}% at 0, 8 and 16 h UTC, longs to shorts"
    if len(known) == len(prepared.symbols):
        return "Funding as the exchange says that it was paid"
    if not any(symbol in paid for symbol in prepared.symbols):
        return f"Funding of {usual}: the exchange told no rates"
    return f"Funding as the exchange says that it was paid; where it says nothing, {usual}"


def _fills(strategy: Strategy, prepared: Prepared) -> Iterator[str]:
    yield "Conditions are judged at the close of a bar; their orders fill at the next open."
    yield "A bar without volume fills nothing: exits wait, entries lapse."
    if strategy.stops or strategy.trailing or strategy.break_even:
        yield "A stop fills at its price, or at the open of a bar that opens beyond it."
    if strategy.targets:
        yield "Targets are limit orders and fill at their own price, never better."
    if strategy.targets and strategy.stops:
        yield "Where a bar reaches both stop and target, the stop came first."
    if strategy.trailing or strategy.break_even:
        yield "Trailing and break-even stops are moved at the close, and hold from the next bar on."
    if "atr" in " ".join([*strategy.stops, strategy.trailing or "", *(t.at for t in strategy.targets)]):
        yield f"ATR: Wilder's, {ATR_LENGTH} bars, as of the close at which the entry was decided."
    if "structure" in strategy.stops:
        yield "Structure stops lie at the last swing known when the entry was decided; without one there is no entry."
    yield "An entry whose exit holds on the same bar, or both sides' entries at once, opens nothing."
    if len(prepared.symbols) > 1:
        yield "Symbols share the cash on one clock; of entries at one open, the symbol named first goes first."
    yield "A position still open at the end is closed at the last close."


def _costs(strategy: Strategy, params: BacktestParams) -> Iterator[str]:
    costs = params.costs
    fees = f"{costs.taker_fee:g}% on market orders and stops"
    yield f"Fees: {fees}{f', {costs.maker_fee:g}% on targets' if strategy.targets else ''}."
    yield f"Market orders and stops pay {_slippage(costs)}."


def _slippage(costs: Costs) -> str:
    parts = []
    if costs.spread:
        parts.append(f"half the spread of {costs.spread:g}%")
    if costs.slippage:
        parts.append(f"{costs.slippage:g}% slippage")
    if costs.slippage_atr:
        parts.append(f"{costs.slippage_atr:g}% of the ATR")
    if costs.impact:
        parts.append(f"{costs.impact:g}% times the root of their share of the bar's volume")
    return " and ".join(parts) or "no slippage"


def _money(strategy: Strategy, params: BacktestParams) -> Iterator[str]:
    sizes = {
        "equity": "a fixed part of equity",
        "fixed": "a fixed amount",
        "risk": "so that the stop loses a fixed part of equity, costs not counted",
        "volatility": f"by the volatility of the last {VOLATILITY_LENGTH} bars",
        "kelly": "by the Kelly fraction of the trades so far (the cap until 20 have closed; none when it falls to 0)",
    }
    yield f"Positions are sized {sizes[strategy.sizing.method]}, by equity at the open, at most what cash allows."
    if params.market == "perpetual":
        yield (
            f"Isolated margin at {params.leverage:g} times leverage; below {params.costs.maintenance_margin:g}% of the "
            "position's value the whole margin is lost."
        )
    else:
        yield "Spot: no leverage, no interest on cash."


def warnings(prepared: Prepared, run: Run, history: int, needed: int) -> list[str]:
    """What weakens a result.

    Args:
        prepared, run: the run.
        history: bars before the first that was traded.
        needed: bars that the conditions look back at.
    """
    return list(_doubts(run, prepared, history, needed))


def _doubts(run: Run, prepared: Prepared, history: int, needed: int) -> Iterator[str]:
    count, account, bars = len(run.trades), run.account[0], len(prepared.open_time)
    if count == 0:
        yield "No trade was made: nothing is known of the strategy."
    elif count < FEW_TRADES:
        yield f"{count} trades are few: their result says little of the next."
    if account["refused"]:
        yield f"{account['refused']} entries were not made: too small an order, no cash left, or no place for a stop."
    if account["liquidations"]:
        yield f"{account['liquidations']} positions were liquidated."
    if not prepared.instruments["tick"].all():
        yield "The exchange's steps and least amounts are not known at present: nothing was rounded to them."
    if needed > history:
        early = min(bars, needed - history)
        yield f"The conditions look back {needed} bars and had {history} before the first: {early} bars decide on less."
    if (run.equity <= 0).any():
        yield "The capital was lost."
