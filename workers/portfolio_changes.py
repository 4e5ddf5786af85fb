"""Changes of a portfolio: each checks its symbol, becomes one ledger entry, and answers with what it did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from crypto_mcp.errors import InvalidRequest, StoreUnavailable
from crypto_mcp.models.money import plain
from crypto_mcp.models.portfolio import PortfolioParams, PortfolioReport
from crypto_mcp.risk.book import Fill
from crypto_mcp.risk.ledger import apply, book_document, book_of, fill_document
from crypto_mcp.risk.report import realised_by, shown
from crypto_mcp.risk.rounding import ZERO
from crypto_mcp.risk.valuation import value
from workers.portfolio_ledger import Change, PortfolioExists, State, UnknownPortfolio
from workers.portfolio_market import prices_of

if TYPE_CHECKING:
    from crypto_mcp.models.portfolio import Action
    from crypto_mcp.risk.book import Book
    from workers.job import Job


class OtherCurrency(InvalidRequest):
    """The symbol is not quoted in the portfolio's currency."""

    code = "other_currency"


class DuplicateTrade(InvalidRequest):
    """The portfolio has a trade of that id already."""

    code = "duplicate_trade"
    http_status = 409


class NoPrice(InvalidRequest):
    """No last price is known and none was given."""

    code = "no_price"


def present_moment() -> datetime:
    """Now, as MongoDB keeps it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _moment(params: PortfolioParams) -> datetime:
    if params.at is None:
        return present_moment()
    at = params.at.astimezone(UTC)
    if at > datetime.now(UTC) + timedelta(minutes=5):
        raise InvalidRequest("at: lies in the future", hint="Give the time at which it happened.")
    if at.year < 2009:
        raise InvalidRequest("at: lies before the first coin", hint="Give the time with its zone.")
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def alive(state: State | None, params: PortfolioParams) -> State:
    """The state, or `UnknownPortfolio`."""
    if state is None:
        raise UnknownPortfolio(
            f"there is no portfolio {params.portfolio_id!r}",
            hint="Action `list` names yours; action `create` makes one.",
        )
    return state


async def _changed(job: Job, params: PortfolioParams, make: Any) -> PortfolioReport:
    """Makes the change and answers with what it did; flows get a sample of equity, so that returns leave them out."""
    ledger = job.services.portfolios
    books: list[Book] = []

    async def remembering(state: State | None) -> Change:
        change: Change = await make(state)
        books[:] = [] if state is None else [book_of(book_document(state.book))]
        return change

    state, entry = await ledger.change(job.client, params.portfolio_id, job.id, remembering, version=params.version)
    if books and entry["seq"] == state.version:
        await _sample_flow(job, params, books[0], state.book, entry["at"])
    return changed_report(params.action, state, realised_by(books[0], state.book) if books else ZERO)


def changed_report(action: Action, state: State, realised: Decimal) -> PortfolioReport:
    """What a change did, without market figures."""
    return PortfolioReport(
        action=action,
        portfolio_id=state.name,
        timestamp=present_moment(),
        version=state.version,
        name=state.document.get("name"),
        currency=state.document.get("currency"),
        cash=shown(state.book.cash),
        contributions=shown(state.book.contributions),
        positions_total=len(state.book.held),
        realised=realised or None,
    )


async def _sample_flow(job: Job, params: PortfolioParams, before: Book, after: Book, at: datetime) -> None:
    """Equity just before and after cash or positions were brought in or out, where all of it has a price."""
    flow = after.contributions - before.contributions
    if not flow or abs((datetime.now(UTC) - at).total_seconds()) > 60:
        return  # of the past no price is known: Modified Dietz takes its flow into account
    market = await prices_of(job.services, (position.symbol for position in before.held))
    valuation = value(before, market.prices)
    if valuation.unpriced:
        return
    documents = job.services.mongo.portfolios
    for moment, contributions in ((at, before.contributions), (at + timedelta(milliseconds=1), after.contributions)):
        sample = {
            "equity": plain(valuation.equity + contributions - before.contributions),
            "contributions": plain(contributions),
        }
        try:
            await documents.keep_equity(job.client, params.portfolio_id, moment, sample)
        except StoreUnavailable:
            return  # the change stands; a sample less makes a return less exact, not wrong


async def quoted(job: Job, params: PortfolioParams, state: State) -> str:
    """The symbol, known to the exchange and quoted in the portfolio's currency."""
    assert params.symbol is not None
    rules = await job.services.rules.of(params.symbol)
    if rules.quote != state.document["currency"]:
        raise OtherCurrency(
            f"{params.symbol} is quoted in {rules.quote}, the portfolio counts in {state.document['currency']}",
            hint=f"Use {rules.base}{state.document['currency']}, or another portfolio.",
        )
    return params.symbol


async def create(job: Job, params: PortfolioParams) -> PortfolioReport:
    """A new, empty portfolio."""

    async def make(state: State | None) -> Change:
        if state is not None:
            raise PortfolioExists(
                f"there is a portfolio {params.portfolio_id!r} already", hint="Choose another portfolio_id."
            )
        data = {"currency": params.currency, "method": params.cost_method, "name": params.name}
        return Change("created", data, present_moment())

    return await _changed(job, params, make)


async def delete(job: Job, params: PortfolioParams) -> PortfolioReport:
    """Ends a portfolio; its ledger stays for audits."""

    async def make(state: State | None) -> Change:
        alive(state, params)
        return Change("deleted", {}, present_moment())

    return await _changed(job, params, make)


async def move_cash(job: Job, params: PortfolioParams) -> PortfolioReport:
    """A deposit or a withdrawal."""
    at = _moment(params)

    async def make(state: State | None) -> Change:
        alive(state, params)
        assert params.amount is not None
        amount = params.amount if params.action == "deposit" else -params.amount
        return Change("cash_moved", {"amount": plain(amount)}, at)

    return await _changed(job, params, make)


async def add_position(job: Job, params: PortfolioParams) -> PortfolioReport:
    """A position that exists already, at its cost."""
    at = _moment(params)

    async def make(state: State | None) -> Change:
        symbol = await quoted(job, params, alive(state, params))
        assert params.quantity is not None
        assert params.price is not None
        short = params.side in ("short", "sell")
        data = {
            "symbol": symbol,
            "market": params.market,
            "quantity": plain(-params.quantity if short else params.quantity),
            "price": plain(params.price),
            "leverage": plain(params.leverage or Decimal(1)),
            "sector": params.sector,
            "at": at.isoformat(),
        }
        return Change("position_added", data, at)

    return await _changed(job, params, make)


async def edit_position(job: Job, params: PortfolioParams) -> PortfolioReport:
    """Corrects what was recorded wrongly; what it was before stays in the ledger."""

    async def make(state: State | None) -> Change:
        assert params.symbol is not None
        held = alive(state, params).book.position(params.symbol, params.market)
        data: dict[str, Any] = {"symbol": params.symbol, "market": params.market}
        if params.quantity is not None:
            data["quantity"] = plain(params.quantity if held.quantity > 0 else -params.quantity)
        if params.price is not None:
            data["price"] = plain(params.price)
        if params.leverage is not None:
            data["leverage"] = plain(params.leverage)
        if params.sector is not None:
            data["sector"] = params.sector
        data["before"] = {"quantity": plain(held.quantity), "price": plain(held.entry_price)}
        return Change("position_edited", data, present_moment())

    return await _changed(job, params, make)


async def close_position(job: Job, params: PortfolioParams) -> PortfolioReport:
    """Leaves a position, or a part of it, at a price or the last one."""
    at = _moment(params)
    price = params.price or await _last_price(job, params)

    async def make(state: State | None) -> Change:
        assert params.symbol is not None
        held = alive(state, params).book.position(params.symbol, params.market)
        quantity = params.quantity or abs(held.quantity)
        if quantity > abs(held.quantity):
            raise InvalidRequest(
                f"quantity: {quantity:f} are to be closed and {abs(held.quantity):f} are held",
                hint="Leave out `quantity` to close all.",
            )
        fill = Fill(params.symbol, params.market, held.quantity < 0, quantity, price, params.fee, at, params.trade_id)
        return await _traded(job, params, fill)

    return await _changed(job, params, make)


async def _last_price(job: Job, params: PortfolioParams) -> Decimal:
    assert params.symbol is not None
    found = (await prices_of(job.services, [params.symbol])).prices.get(params.symbol)
    if found is None:
        raise NoPrice(f"no last price of {params.symbol} is known", hint="Give `price`.")
    return found


async def record_trade(job: Job, params: PortfolioParams) -> PortfolioReport:
    """A trade that happened."""
    at = _moment(params)

    async def make(state: State | None) -> Change:
        symbol = await quoted(job, params, alive(state, params))
        assert params.quantity is not None
        assert params.price is not None
        fill = Fill(
            symbol, params.market, params.side == "buy", params.quantity, params.price, params.fee, at,
            params.trade_id, params.leverage,
        )  # fmt: skip
        return await _traded(job, params, fill)

    return await _changed(job, params, make)


async def _traded(job: Job, params: PortfolioParams, fill: Fill) -> Change:
    if fill.id is not None:
        known = await job.services.mongo.portfolios.known_trades(job.client, params.portfolio_id, [fill.id])
        if known:
            raise DuplicateTrade(
                f"trade {fill.id!r} is in the ledger already", hint="It was not taken again; nothing is to be done."
            )
    return Change("traded", {"fills": [fill_document(fill)]}, fill.at)


async def record_funding(job: Job, params: PortfolioParams) -> PortfolioReport:
    """Funding of a perpetual, received or paid."""
    at = _moment(params)

    async def make(state: State | None) -> Change:
        alive(state, params)
        assert params.amount is not None
        data = {"symbol": params.symbol, "amount": plain(params.amount), "at": at.isoformat()}
        return Change("funded", data, at)

    return await _changed(job, params, make)


def after(book: Book, change: Change) -> Book:
    """A copy of the book with a change applied; raises what speaks against it."""
    return apply(book_of(book_document(book)), {"kind": change.kind, "data": change.data})
