"""CoinGecko, CoinMarketCap and alternative.me as the sandbox plays them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox_server import SandboxServer, running_sandbox

GECKO, CMC, PUBLIC = "/coingecko/api/v3", "/coinmarketcap", "/coinmarketcap/public-api"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


def test_coins_are_ranked_and_paged(sandbox: SandboxServer) -> None:
    pages = [
        sandbox.get(f"{GECKO}/coins/markets", vs_currency="usd", per_page=250, page=page).json() for page in (1, 2, 3)
    ]
    rows = [row for page in pages for row in page]
    assert [len(page) for page in pages] == [250, 155, 0]
    assert [row["market_cap_rank"] for row in rows] == list(range(1, 406))
    caps = [row["market_cap"] for row in rows]
    assert caps == sorted(caps, reverse=True)
    price = float(sandbox.get("/api/v3/ticker/price", symbol="BTCUSDT").json()["price"])
    assert next(row for row in rows if row["id"] == "bitcoin")["current_price"] == pytest.approx(price, rel=0.02)


def test_both_shapes_of_listings_say_the_same(sandbox: SandboxServer) -> None:
    one = sandbox.get(f"{CMC}/v1/cryptocurrency/listings/latest", CMC_PRO_API_KEY="CMC-1", limit=5).json()
    three = sandbox.get(f"{PUBLIC}/v3/cryptocurrency/listings/latest", limit=5).json()
    assert one["status"]["error_code"] == 0
    assert three["status"]["error_code"] == "0"
    for left, right in zip(one["data"], three["data"], strict=True):
        assert left["symbol"] == right["symbol"]
        assert left["quote"]["USD"]["price"] == pytest.approx(right["quote"][0]["price"], rel=0.01)


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("/coingecko-pro/api/v3/ping", {}, 401, 10002),
        (f"{GECKO}/ping", {"x_cg_demo_api_key": "PRO-1"}, 400, 10010),
        ("/coingecko-pro/api/v3/ping", {"x_cg_pro_api_key": "CG-1"}, 400, 10011),
        (f"{CMC}/v1/key/info", {}, 401, 1002),
        (f"{CMC}/v1/key/info", {"CMC_PRO_API_KEY": "nonsense"}, 401, 1001),
    ],
)
def test_keys_are_looked_at(sandbox: SandboxServer, path: str, params: dict[str, str], status: int, code: int) -> None:
    answer = sandbox.get(path, **params)
    assert answer.status_code == status
    body = answer.json()
    assert code in (body.get("error_code"), body["status"].get("error_code"))


def test_too_many_calls_are_refused_for_the_rest_of_the_minute() -> None:
    with running_sandbox() as sandbox:
        sandbox.clock.stop()
        gecko = [sandbox.get(f"{GECKO}/ping").status_code for _ in range(12)]
        cmc = [sandbox.get(f"{CMC}/v1/key/info", CMC_PRO_API_KEY="CMC-1") for _ in range(31)]
        assert gecko == [200] * 10 + [429] * 2
        assert cmc[-1].status_code == 429
        assert cmc[-1].json()["status"]["error_code"] == 1008
        assert 1 <= int(cmc[-1].headers["retry-after"]) <= 60
        sandbox.clock.ahead += 60_000
        assert sandbox.get(f"{GECKO}/ping").status_code == 200


def test_fear_and_greed_is_the_same_for_a_day_on_both_sites(sandbox: SandboxServer) -> None:
    index = sandbox.get(f"{PUBLIC}/v3/fear-and-greed/latest").json()["data"]["value"]
    days = sandbox.get("/alternative/fng/", limit=3).json()["data"]
    assert int(days[0]["value"]) == index
    assert len(days) == 3
    assert "time_until_update" in days[0]
    assert "time_until_update" not in days[1]
