"""A backtest from the command line: its report on the screen, and as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_mcp.cli.configuration import load
from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crypto_mcp.client import CryptoMcp

_OF_STRATEGY, _OF_SEARCH, _OF_MARKET, _OUT = "Strategy", "Search", "Market", "Output"
Texts = list[str] | None

Symbols = Annotated[str, typer.Argument(help="Trading pair, such as BTCUSDT; several with commas share the cash.")]
OfBars = Annotated[str, typer.Argument(help="Length of a bar, such as 1h.")]


def _option(name: str, words: str, panel: str) -> Any:
    return typer.Option(name, help=words, rich_help_panel=panel)


def backtest(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    symbols: Symbols,
    timeframe: OfBars = "1h",
    strategy: Annotated[str | None, _option("--strategy", "A built-in one, such as turtle.", _OF_STRATEGY)] = None,
    entry: Annotated[str | None, _option("--entry", "Condition that buys.", _OF_STRATEGY)] = None,
    leave: Annotated[str | None, _option("--exit", "Condition that sells.", _OF_STRATEGY)] = None,
    short_entry: Annotated[str | None, _option("--short-entry", "Condition that sells short.", _OF_STRATEGY)] = None,
    short_exit: Annotated[str | None, _option("--short-exit", "Condition that buys back.", _OF_STRATEGY)] = None,
    stop: Annotated[Texts, _option("--stop", "3%, '2 atr' or structure; of several the nearest.", _OF_STRATEGY)] = None,
    trailing: Annotated[str | None, _option("--trailing", "Stop that follows: 5% or '3 atr'.", _OF_STRATEGY)] = None,
    break_even: Annotated[str | None, _option("--break-even", "Move after which it is: 1R.", _OF_STRATEGY)] = None,
    target: Annotated[Texts, _option("--target", "2R, 6% or '3 atr'; 2R:50 sells half there.", _OF_STRATEGY)] = None,
    max_bars: Annotated[int | None, _option("--max-bars", "Time stop.", _OF_STRATEGY)] = None,
    parameter: Annotated[Texts, _option("--set", "fast=9 for {fast} in a condition.", _OF_STRATEGY)] = None,
    search: Annotated[Texts, _option("--search", "Values to try: fast=5:20:1.", _OF_SEARCH)] = None,
    method: Annotated[str, _option("--method", "grid, random or bayesian.", _OF_SEARCH)] = "grid",
    trials: Annotated[int | None, _option("--trials", "Tries at most.", _OF_SEARCH)] = None,
    objective: Annotated[str, _option("--objective", "sharpe, sortino, calmar, total_return.", _OF_SEARCH)] = "sharpe",
    windows: Annotated[int | None, _option("--walk-forward", "Windows traded on past choices.", _OF_SEARCH)] = None,
    monte_carlo: Annotated[bool, _option("--monte-carlo", "What else could have happened.", _OF_SEARCH)] = False,
    start: Annotated[str | None, _option("--start", "2025-01-01; a year before the end.", _OF_MARKET)] = None,
    end: Annotated[str | None, _option("--end", "2026-01-01; now.", _OF_MARKET)] = None,
    capital: Annotated[float, _option("--capital", "Cash at the start.", _OF_MARKET)] = 10_000,
    market: Annotated[str | None, _option("--market", "spot, or perpetual as for any short.", _OF_MARKET)] = None,
    leverage: Annotated[float, _option("--leverage", "On perpetuals.", _OF_MARKET)] = 1,
    fee: Annotated[float | None, _option("--fee", "Percent, each way; 0.1.", _OF_MARKET)] = None,
    slippage: Annotated[float | None, _option("--slippage", "Percent; 0.02.", _OF_MARKET)] = None,
    output: Annotated[Path | None, _option("--output", "Files' folder; the current one.", _OUT)] = None,
    files: Annotated[bool, _option("--files/--no-files", "Write report.html, PNG, CSV.", _OUT)] = True,
    theme: Annotated[str, _option("--theme", "Of the PNG: dark or light.", _OUT)] = "dark",
    as_json: Annotated[bool, _option("--json", "Print JSON and nothing else.", _OUT)] = False,
    wait: Annotated[float, _option("--wait", "Seconds.", _OUT)] = 300.0,
) -> None:
    """Test a strategy: crypto-mcp backtest BTCUSDT 1h --entry 'crosses_above(ema(9), ema(21))' --stop 3%"""
    own = {
        "entry": entry, "exit": leave, "short_entry": short_entry, "short_exit": short_exit, "stop": stop,
        "trailing": trailing, "break_even": break_even, "max_bars": max_bars,
        "targets": [_target(each) for each in target or []],
    }  # fmt: skip
    params = {
        "symbols": symbols.split(","), "timeframe": timeframe, "start": start, "end": end,
        "capital": capital, "leverage": leverage, "market": market or ("perpetual" if short_entry else "spot"),
        "costs": _costs(fee, slippage), "monte_carlo": monte_carlo, "detail": "full",
        "search": _search(search, method, trials, objective), "walk_forward": windows and {"windows": windows},
        **_strategy(strategy, own, _numbers(parameter or [])),
    }  # fmt: skip
    _run(
        {name: value for name, value in params.items() if value not in (None, {})}, output, files, theme, as_json, wait
    )


def _run(params: dict[str, Any], output: Path | None, files: bool, theme: str, as_json: bool, wait: float) -> None:
    from rich.console import Console

    from crypto_mcp.cli.backtest_words import report
    from crypto_mcp.cli.calls import answered, as_sent
    from crypto_mcp.cli.front_end import front_end

    with front_end(load()) as client:
        answer = answered(client, "historical_backtest", params, wait, Console(stderr=True))
        if as_json or answer.result is None:
            import json

            print(json.dumps(as_sent(answer), indent=2))
            return
        result = answer.result
        Console().print(report(result))
        if files:
            for path in _written(client, result, output or Path(), theme, wait):
                print(f"{path}: {path.stat().st_size / 1024:,.0f} KB")


def _written(client: CryptoMcp, result: Mapping[str, Any], folder: Path, theme: str, wait: float) -> Iterable[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    data, under = result["data"][0], f"/v1/jobs/{result['backtest_job_id']}"
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in result["strategy"]["name"])
    stem = f"{data['symbol']}-{data['timeframe']}-{name}"
    wanted = {"report.html": ".html", "chart.png": ".png", "trades.csv": "-trades.csv", "equity.csv": "-equity.csv"}
    for file, ending in wanted.items():
        path = folder / f"{stem}{ending}"
        path.write_bytes(client.file(f"{under}/{file}", {"theme": theme} if file == "chart.png" else None, within=wait))
        yield path


def _strategy(named: str | None, own: Mapping[str, Any], numbers: Mapping[str, float]) -> dict[str, Any]:
    given = {name: value for name, value in own.items() if value not in (None, [])}
    if not given:
        return {"strategy": named or "ema_cross", "parameters": numbers}
    if named is not None:
        raise InvalidRequest(
            f"--strategy {named} with --{next(iter(given)).replace('_', '-')}",
            hint="A built-in strategy has conditions and stops of its own: give either.",
        )
    return {"strategy": {**given, "parameters": numbers}}


def _search(texts: Texts, method: str, trials: int | None, objective: str) -> dict[str, Any] | None:
    if not texts:
        return None
    parameters = []
    for text in texts:
        name, _, bounds = text.partition("=")
        try:
            low, high, *step = (float(part) for part in bounds.split(":"))
            whole = all(number == int(number) for number in (low, high, *step))
        except ValueError:
            raise InvalidRequest(f"--search {text!r} is not name=low:high:step", hint="Write fast=5:20:1.") from None
        parameters.append({"name": name, "low": low, "high": high, "step": step[0] if step else None, "integer": whole})
    return {"parameters": parameters, "method": method, "trials": trials, "objective": objective}


def _numbers(pairs: Iterable[str]) -> dict[str, float]:
    numbers = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            numbers[name] = float(value)
        except ValueError:
            raise InvalidRequest(f"--set {pair!r} is not name=number", hint="Write fast=9.") from None
    return numbers


def _target(text: str) -> dict[str, Any]:
    at, _, share = text.partition(":")
    return {"at": at, "share": share or 100}


def _costs(fee: float | None, slippage: float | None) -> dict[str, float]:
    given = {"maker_fee": fee, "taker_fee": fee, "slippage": slippage}
    return {name: value for name, value in given.items() if value is not None}
