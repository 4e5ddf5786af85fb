"""A job kind is declared once, and everything else follows from it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import UnknownKind
from crypto_mcp.job_kind import LISTS, CacheRule, Catalogue, JobKind
from crypto_mcp.jobs.envelope import params_digest
from crypto_mcp.models.analysis import Analysis, Confluence, Provenance, TimeframeView
from crypto_mcp.models.answers import LOCAL
from crypto_mcp.models.timeframes import Timeframe
from workers.handlers import load


class Nothing(BaseModel):
    """No parameters, no result."""


def kind(name: str = "nothing") -> JobKind[Nothing, Nothing]:
    return JobKind(
        name, "analysis:queue", Nothing, Nothing, "workers.analysis:analyze_crypto", "Nothing", "Does nothing"
    )


@pytest.mark.parametrize("declared", list(CATALOGUE), ids=lambda k: k.name)
def test_every_kind_keeps_its_own_promises(declared: JobKind[BaseModel, BaseModel]) -> None:
    """Its example fits its parameters, its list exists, its handler can be loaded, people are told what it does."""
    params = declared.params.model_validate(dict(declared.example))
    assert declared.list in LISTS
    assert load(declared)
    assert declared.title
    assert len(declared.summary) > 20
    assert declared.cache is None or declared.cache.ttl > 0
    assert declared.shareable(params) in (True, False)


@pytest.mark.parametrize("declared", list(CATALOGUE), ids=lambda k: k.name)
def test_every_field_of_the_parameters_is_described(declared: JobKind[BaseModel, BaseModel]) -> None:
    for name, field in declared.params.model_fields.items():
        assert field.description, f"{declared.name}.{name}"


def test_the_specified_cached_key_is_the_default_answer() -> None:
    analyze = CATALOGUE["analyze_crypto"]
    assert analyze.cache is not None
    assert analyze.cache.key(analyze.params(symbol="btc")) == "analysis:BTCUSDT:1h"
    assert analyze.cache.key(analyze.params(symbol="btc", bars=300)) != "analysis:BTCUSDT:1h"
    assert analyze.cache.ttl == 300


class Deposit(BaseModel):
    """Changes something unless its amount is zero."""

    amount: int


def account(*, owned: bool) -> JobKind[Deposit, Nothing]:
    return JobKind(
        "account", "analysis:queue", Deposit, Nothing, "workers.analysis:analyze_crypto", "Account", "Keeps an account",
        cache=CacheRule(key=lambda _: "account", ttl=30), read_only=False, owned=owned, changes=lambda p: p.amount != 0,
    )  # fmt: skip


def test_what_changes_something_is_neither_cached_nor_shared() -> None:
    kind = account(owned=False)
    assert kind.shareable(Deposit(amount=0))
    assert kind.cache_key(Deposit(amount=0), "me") == "account"
    assert not kind.shareable(Deposit(amount=5))
    assert kind.cache_key(Deposit(amount=5), "me") is None


def test_owned_answers_are_kept_apart_by_client() -> None:
    """Cached keys and the digests that equal requests join by differ; whoever works locally has the specified key."""
    kind, read = account(owned=True), Deposit(amount=0)
    assert kind.cache_key(read, LOCAL) == kind.cache_key(read, "") == "account"
    assert len({kind.cache_key(read, client) for client in (LOCAL, "me", "you")}) == 3
    assert len({params_digest(kind, read, client) for client in (LOCAL, "", "me", "you")}) == 3
    common = account(owned=False)
    assert params_digest(common, read, "me") == params_digest(common, read, "you")


def test_an_unknown_kind_is_told_the_nearest_name() -> None:
    with pytest.raises(UnknownKind) as caught:
        CATALOGUE["analyse_crypto"]
    assert "analyze_crypto" in caught.value.hint


def test_two_kinds_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="one name"):
        Catalogue((kind(), kind()))


def test_a_result_that_is_out_of_date_is_not_cached() -> None:
    rule: CacheRule[Nothing, Nothing] = CacheRule(key=lambda _: "key", ttl=300, good_for=lambda _: -5.0)
    assert rule.seconds(Nothing()) == 0


def test_a_handler_that_is_no_coroutine_stops_the_worker_at_its_start() -> None:
    with pytest.raises(TypeError, match="no coroutine"):
        load(JobKind("bad", "analysis:queue", Nothing, Nothing, "json:dumps", "Bad", "Bad"))


def test_an_analysis_is_cached_no_longer_than_until_the_next_bar_of_any_timeframe_closes() -> None:
    """The main bar is ten minutes old of sixty; a compared 15m bar closes in five."""
    good_for = CATALOGUE["analyze_crypto"].cache.good_for  # type: ignore[union-attr]
    assert good_for is not None
    hour = Timeframe.H1
    data = Provenance.model_construct(last_bar=datetime(2026, 1, 1, 5, tzinfo=UTC), age_seconds=600.0)
    alone = Analysis.model_construct(timeframe=hour, data=data, confluence=None)
    assert good_for(alone) == 50 * 60
    views = [TimeframeView.model_construct(timeframe=Timeframe.M15), TimeframeView.model_construct(timeframe=hour)]
    compared = Analysis.model_construct(timeframe=hour, data=data, confluence=Confluence.model_construct(views=views))
    assert good_for(compared) == 5 * 60
