"""The book of channels: whose they are, how they are proved, and what is never told."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from crypto_mcp.errors import InvalidRequest, TooManyRequests
from crypto_mcp.models.answers import LOCAL
from crypto_mcp.notify.channels import ChannelBook, UnknownChannel
from crypto_mcp.notify.codes import WrongCode
from crypto_mcp.notify.numbers import InvalidNumber, e164, masked
from crypto_mcp.notify.reports import read_meta
from crypto_mcp.notify.sealing import NoEncryptionKey, Seal, SealBroken
from crypto_mcp.notify.webhook import ForbiddenAddress
from crypto_mcp.stores.channel_documents import ChannelExists
from tests.notify.conftest import Telling


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("+1 (202) 555-0123", "+12025550123"),
        ("+971 50 123 4567", "+971501234567"),
        ("+55 11 91234-5678", "+5511912345678"),
    ],
)
def test_numbers_become_e164(given: str, known: str) -> None:
    assert e164(given) == known


@pytest.mark.parametrize("given", ["", "12345", "0202 555 0123", "+1 202", "+999 123 456 789", "+1" * 500, "call me"])
def test_numbers_that_cannot_be_are_refused_without_being_repeated(given: str) -> None:
    with pytest.raises(InvalidNumber) as refused:
        e164(given)
    assert not given or given not in refused.value.message
    assert refused.value.hint


def test_a_masked_number_keeps_country_and_two_digits() -> None:
    assert masked("+12025550123") == "+1XXXXXXXX23"
    assert masked("+971501234567") == "+971XXXXXXX67"


def test_a_new_key_reads_what_the_former_one_wrote() -> None:
    former = Seal(["a" * 32])
    sealed, mark = former.close("+12025550123"), former.mark("+12025550123")
    rotated = Seal(["b" * 32, "a" * 32])
    assert "2025550123" not in sealed
    assert rotated.open(sealed) == "+12025550123"
    assert mark in rotated.marks("+12025550123")
    with pytest.raises(SealBroken):
        Seal(["c" * 32]).open(sealed)


async def test_a_channel_is_active_only_after_the_right_code(telling_alone: Telling) -> None:
    book = telling_alone.services.channels
    added = await book.add("ann", "whatsapp", number="+1 202 555 0401", name="mobile")
    assert (added.state, added.address, added.default, added.provider) == (
        "unverified",
        "+1XXXXXXXX01",
        True,
        "sandbox",
    )
    (message,) = await telling_alone.arrived("+12025550401", 1)
    assert message["template"] == "crypto_code"
    code = message["text"].split("*")[1]
    with pytest.raises(WrongCode):
        await book.verify("ann", "mobile", "000000" if code != "000000" else "000001")
    verified = await book.verify("ann", "mobile", code)
    assert verified.state == "active"


async def test_guessing_a_code_ends_after_five_tries(telling_alone: Telling) -> None:
    book = telling_alone.services.channels
    await book.add("eve", "whatsapp", number="+12025550402")
    (message,) = await telling_alone.arrived("+12025550402", 1)
    for guess in range(5):
        with pytest.raises(WrongCode):
            await book.verify("eve", "whatsapp", f"wrong{guess}")
    with pytest.raises(WrongCode):
        await book.verify("eve", "whatsapp", message["text"].split("*")[1])


async def test_codes_cannot_be_used_to_pester_a_number(telling_alone: Telling) -> None:
    """Five a day to one number, whoever asks."""
    book = telling_alone.services.channels
    for i in range(5):
        await book.add(f"pest-{i}", "whatsapp", number="+12025550403")
    with pytest.raises(TooManyRequests):
        await book.add("pest-6", "whatsapp", number="+12025550403")


async def test_channels_belong_to_their_owner(telling_alone: Telling) -> None:
    book = telling_alone.services.channels
    await book.add("bob", "console", name="mine")
    assert await book.list("mallory") == []
    with pytest.raises(UnknownChannel):
        await book.remove("mallory", "mine")
    with pytest.raises(UnknownChannel):
        await book.make_default("mallory", "mine")
    assert [each.name for each in await book.list("bob")] == ["mine"]


async def test_one_channel_is_the_default_and_another_takes_its_place(telling_alone: Telling) -> None:
    book = telling_alone.services.channels
    for name in ("first", "second"):
        await book.add("carl", "console", name=name)
    await book.make_default("carl", "second")
    assert [each.default for each in await book.list("carl")] == [False, True]
    await book.remove("carl", "second")
    assert [(each.name, each.default) for each in await book.list("carl")] == [("first", True)]
    with pytest.raises(ChannelExists):
        await book.add("carl", "console", name="first")


async def test_a_fallback_must_exist_and_must_not_lead_back(telling_alone: Telling) -> None:
    book = telling_alone.services.channels
    await book.add("dora", "console", name="a")
    await book.add("dora", "console", name="b", fallback="a")
    with pytest.raises(UnknownChannel):
        await book.set_fallback("dora", "a", "c")
    with pytest.raises(InvalidRequest, match="leads back"):
        await book.set_fallback("dora", "a", "b")
    with pytest.raises(InvalidRequest, match="leads back"):
        await book.set_fallback("dora", "a", "a")


async def test_a_webhook_into_the_own_network_is_refused(telling_alone: Telling) -> None:
    for url in ("https://10.0.0.8/hook", "https://169.254.169.254/latest"):
        with pytest.raises(ForbiddenAddress):
            await telling_alone.services.channels.add("fred", "webhook", url=url)


async def test_a_number_that_was_changed_takes_its_channels_with_it(telling_alone: Telling) -> None:
    """As Meta's system message says it: what is sent goes to the new number, and STOP is heard from there."""
    book = telling_alone.services.channels
    await book.add("ivy", "whatsapp", number="+12025550406")
    system = {"type": "user_changed_number", "body": "changed", "wa_id": "12025550407"}
    told = {"from": "12025550406", "id": "w", "timestamp": "1767225600", "type": "system", "system": system}
    body = json.dumps({"entry": [{"changes": [{"value": {"messages": [told]}}]}]}).encode()
    assert book.seal is not None
    (heard,) = read_meta(body, book.seal).heard
    assert heard.word == "moved"
    assert await book.moved(heard.marks, heard.sealed or "", heard.mark or "") == 1
    assert [each.address for each in await book.list("ivy")] == ["+1XXXXXXXX07"]
    assert len(await book.heard(book.seal.marks("+12025550407"), heard.at, "stop")) == 1


async def test_without_a_key_no_number_is_taken(telling_alone: Telling) -> None:
    services = telling_alone.services
    plain = services.settings.notify.model_copy(update={"encryption_key": None})
    book = ChannelBook(services.mongo.channels, services.senders, services.limits, plain)
    with pytest.raises(NoEncryptionKey):
        await book.add("gina", "whatsapp", number="+12025550404")


async def test_the_local_user_can_be_told_with_nothing_set_up(telling_alone: Telling) -> None:
    """A number in the settings, which `crypto-mcp run` gives with the sandbox, or else the console."""
    services = telling_alone.services
    assert [each.kind for each in await services.channels.list(LOCAL)] == ["console"]
    named = services.settings.notify.model_copy(update={"local_number": "+12025550405"})
    book = ChannelBook(services.mongo.channels, services.senders, services.limits, named)
    (view,) = await book.list(LOCAL)
    assert (view.kind, view.state, view.provider, view.address) == ("whatsapp", "active", "sandbox", "+1XXXXXXXX05")
    await book.erase(LOCAL)


async def test_a_key_that_changed_is_named_as_the_cause(telling_alone: Telling) -> None:
    services = telling_alone.services
    await services.channels.add("hugo", "webhook", url="http://127.0.0.1:8080/hook")
    other = services.settings.notify.model_copy(update={"encryption_key": SecretStr("z" * 40)})
    book = ChannelBook(services.mongo.channels, services.senders, services.limits, other)
    with pytest.raises(SealBroken) as broken:
        await book.list("hugo")
    assert "FORMER_ENCRYPTION_KEYS" in broken.value.hint
