"""What a message says, and what of a provider's words is understood."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.notifications import Notification
from crypto_mcp.notify.meta import LONGEST_TEXT, Meta, meaning_of, parameter
from crypto_mcp.notify.reports import BadSignature, check_meta, read_meta, read_waha, word_of
from crypto_mcp.notify.sealing import Seal
from crypto_mcp.notify.sending import Meaning, Target, reference
from crypto_mcp.notify.writing import write
from crypto_mcp.sandbox.whatsapp import TEMPLATES
from crypto_mcp.settings import NotifySettings

_AT = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
_SEAL = Seal(["s" * 32])
_META = Meta(NotifySettings(meta_phone_id="1", meta_token=SecretStr("t")))
_TEXTS = st.text(max_size=100)
_NAMES = [
    "entry",
    "changes",
    "value",
    "statuses",
    "messages",
    "id",
    "status",
    "from",
    "payload",
    "event",
    "ack",
    "text",
]
_NESTED = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4),
    max_leaves=15,
)


def note(i: int = 1, **how: Any) -> Notification:
    given = {"notification_id": f"a.{i}", "owner": "o", "title": f"Alert {i}", "text": "", "at": _AT} | how
    return Notification.model_validate(given)


def test_what_was_noticed_late_says_so_in_a_digest_too() -> None:
    late, in_time = write("m", [note(1, late_by_s=7300), note(2, late_by_s=0.4)]).text.splitlines()
    assert late.endswith("(noticed 2 h late)")
    assert "late" not in in_time


def test_a_digest_names_each_with_its_time() -> None:
    several = [
        note(i, symbol=s, at=_AT + timedelta(seconds=i)) for i, s in enumerate(("BTCUSDT", "ETHUSDT", "BTCUSDT"))
    ]
    message = write("m", several)
    assert message.title == "3 alerts: BTCUSDT, ETHUSDT"
    assert message.text.splitlines() == ["• 12:30:05 Alert 0", "• 12:30:06 Alert 1", "• 12:30:07 Alert 2"]


@settings(max_examples=40)
@given(title=_TEXTS.filter(bool), text=_TEXTS)
def test_no_text_of_a_user_breaks_a_template_or_adds_to_it(title: str, text: str) -> None:
    """Whatever an alert is called: one line a parameter, within Meta's bounds, and braces are only braces."""
    message = write("m", [note(title=title, text=text + "{{1}} {0}")])
    for target in (Target("+12025550123"), Target("+12025550123", free_text=True)):
        body = _META.body(target, message)
        if body["type"] == "text":
            assert 0 < len(body["text"]["body"]) <= LONGEST_TEXT
            continue
        (component,) = body["template"]["components"]
        parameters = [each["text"] for each in component["parameters"]]
        assert len(parameters) == TEMPLATES["crypto_alert"][0]
        assert sum(map(len, parameters)) <= 1000
        for each in parameters:
            assert each.strip()
            assert len(each.splitlines()) == 1
            assert "\t" not in each
            assert "    " not in each


def test_lines_become_one_line() -> None:
    assert parameter("First.\nSecond\n\n  third  word\nRSI: 63") == "First. Second · third word · RSI: 63"
    assert parameter(" \n ") == "-"


def test_what_does_not_fit_is_counted() -> None:
    assert parameter("\n".join(["ten chars."] * 9), longest=46) == "ten chars. ten chars. ten chars. … and 6 more"
    assert parameter("x" * 50, longest=10) == "xxxxxxxxx…"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (131056, Meaning.PAIR), (130429, Meaning.SLOW), (80007, Meaning.PAUSE), (190, Meaning.OPERATOR),
        (131047, Meaning.TEMPLATE), (131050, Meaning.OPT_OUT), (131026, Meaning.FINAL), (131016, Meaning.RETRY),
        (132001, Meaning.OPERATOR), (99999, Meaning.FINAL),
    ],
)  # fmt: skip
def test_codes_of_meta_are_told_apart(code: int, meaning: Meaning) -> None:
    assert meaning_of(code) is meaning


def envelope(**value: Any) -> bytes:
    return json.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).encode()


def test_a_report_carries_neither_numbers_nor_texts() -> None:
    status = {
        "id": "wamid.A",
        "status": "failed",
        "timestamp": "1767225600",
        "recipient_id": "12025550123",
        "biz_opaque_callback_data": "m1",
        "errors": [{"code": 131026, "title": "Message undeliverable"}],
    }
    text = {"body": "my secret, +12025550123"}
    heard = {"from": "12025550123", "id": "wamid.B", "timestamp": "1767225600", "type": "text", "text": text}
    told = read_meta(envelope(statuses=[status], messages=[heard]), _SEAL)
    assert told.statuses[0].code == 131026
    assert told.statuses[0].message_id == "m1"
    assert told.statuses[0].provider_id == reference("wamid.A")
    assert told.heard[0].marks == _SEAL.marks("+12025550123")
    assert told.heard[0].word == "other"
    written = told.model_dump_json()
    assert not [each for each in ("2025550123", "secret", "wamid") if each in written]


@pytest.mark.parametrize(
    "inside",
    [
        {"type": "text", "text": {"body": "STOP"}},
        {"type": "button", "button": {"payload": "x", "text": "Stop"}},
        {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "stop!"}}},
    ],
)
def test_stop_is_understood_as_text_and_as_a_button(inside: dict[str, Any]) -> None:
    (heard,) = read_meta(
        envelope(messages=[{"from": "12025550123", "id": "w", "timestamp": "1", **inside}]), _SEAL
    ).heard
    assert heard.word == "stop"


def test_metas_own_switch_for_messages_is_a_stop() -> None:
    preference = {"wa_id": "12025550123", "category": "marketing_messages", "value": "stop", "timestamp": 1767225600}
    (heard,) = read_meta(envelope(user_preferences=[preference]), _SEAL).heard
    assert heard.word == "stop"


@settings(max_examples=40)
@given(st.binary(max_size=100) | _NESTED.map(lambda told: json.dumps(told).encode()))
def test_no_body_breaks_the_reading(body: bytes) -> None:
    """What a provider sends is understood, refused as no JSON object, or left out."""
    for read in (read_meta, read_waha):
        try:
            read(body, _SEAL)
        except InvalidRequest:
            continue


def test_a_signature_is_of_the_raw_bytes() -> None:
    """Meta escapes what is not ASCII: a body that was parsed and written anew has another signature."""
    body = b'{"text":"\\u00e4"}'
    right = "sha256=" + hmac.new(b"app", body, hashlib.sha256).hexdigest()
    check_meta(SecretStr("app"), body, right)
    with pytest.raises(BadSignature):
        check_meta(SecretStr("app"), '{"text":"ä"}'.encode(), right)
    with pytest.raises(BadSignature):
        check_meta(None, body, right)


@pytest.mark.parametrize(
    ("text", "word"), [("stop", "stop"), (" STOP. ", "stop"), ("Start", "start"), ("stop it", "other")]
)
def test_words(text: str, word: str) -> None:
    assert word_of(text) == word
