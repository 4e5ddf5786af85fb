"""What may be pushed, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.errors import CryptoMcpError, InvalidRequest, UnknownKind
from crypto_mcp.jobs import envelope, keys
from crypto_mcp.jobs.envelope import BadEnvelope
from tests.jobs.hand_driven import CATALOGUE, LIST, OTHER, SETTINGS, WORK, Ask

LIMIT = int(SETTINGS.max_envelope)

REFUSED: dict[str, tuple[bytes, type[CryptoMcpError], str]] = {
    "nothing": (b"", BadEnvelope, "not JSON"),
    "words": (b"hello", BadEnvelope, "not JSON"),
    "half of it": (b'{"kind":"work","par', BadEnvelope, "not JSON"),
    "two of it": (b'{"kind":"work"}{"kind":"work"}', BadEnvelope, "not JSON"),
    "binary": (b"\xff\xfe\x00\x01", BadEnvelope, "not JSON"),
    "pickle": (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.", BadEnvelope, "not JSON"),
    "not UTF-8 inside": (b'{"kind":"work","trace":"\xe9"}', BadEnvelope, "not JSON"),
    "5 MiB": (b"x" * 5 * 1024 * 1024, BadEnvelope, "5242880 bytes"),
    "one byte too many": (b'{"kind":"work"}'.ljust(LIMIT + 1), BadEnvelope, f"{LIMIT + 1} bytes"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, BadEnvelope, "not JSON"),
    "deep params": (b'{"kind":"work","params":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, BadEnvelope, "not JSON"),
    "NaN": (b'{"kind":"work","params":{"n":NaN}}', BadEnvelope, "not JSON"),
    "Infinity": (b'{"kind":"work","params":{"n":-Infinity}}', BadEnvelope, "not JSON"),
    "a list": (b"[1,2]", BadEnvelope, "not a JSON object"),
    "a number": (b"1", BadEnvelope, "not a JSON object"),
    "null": (b"null", BadEnvelope, "not a JSON object"),
    "no kind": (b'{"params":{}}', BadEnvelope, "kind"),
    "a number for a kind": (b'{"kind":1}', BadEnvelope, "kind"),
    "a very long kind": (b'{"kind":"' + b"k" * 101 + b'"}', BadEnvelope, "kind"),
    "a list for params": (b'{"kind":"work","params":[]}', BadEnvelope, "params"),
    "null for params": (b'{"kind":"work","params":null}', BadEnvelope, "params"),
    "a number for an id": (b'{"kind":"work","id":5}', BadEnvelope, "id"),
    "an empty id": (b'{"kind":"work","id":""}', BadEnvelope, "id"),
    "an id with a blank": (b'{"kind":"work","id":"a b"}', BadEnvelope, "id"),
    "an id with a line end": (b'{"kind":"work","id":"a\\n"}', BadEnvelope, "id"),
    "an id with a colon": (b'{"kind":"work","id":"a:b"}', BadEnvelope, "id"),
    "an id of 65": (b'{"kind":"work","id":"' + b"i" * 65 + b'"}', BadEnvelope, "id"),
    "an object for a trace": (b'{"kind":"work","trace":{}}', BadEnvelope, "trace"),
    "an unknown field": (b'{"kind":"work","priority":1}', BadEnvelope, "priority"),
    "an unknown kind": (b'{"kind":"wrok"}', UnknownKind, "wrok"),
    "wrong params": (b'{"kind":"work","params":{"n":"many"}}', InvalidRequest, "n: "),
    "unknown params": (b'{"kind":"work","params":{"symbol":"BTC"}}', InvalidRequest, "symbol"),
}


def _read(raw: bytes, list_name: str = LIST) -> envelope.Accepted:
    return envelope.read(raw, list_name, CATALOGUE, LIMIT)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_job_is_refused_with_what_is_wrong_and_what_to_do(case: str) -> None:
    raw, kind, words = REFUSED[case]
    with pytest.raises(kind) as refused:
        _read(raw)
    assert type(refused.value) is kind
    assert words in refused.value.message
    assert refused.value.hint
    assert len(refused.value.message) < 1000


@pytest.mark.parametrize("prefix", keys.RESERVED_PREFIXES)
def test_a_reply_list_may_not_bear_a_name_of_the_queue_s_own(prefix: str) -> None:
    with pytest.raises(BadEnvelope, match="reply_to"):
        _read(orjson.dumps({"kind": "work", "reply_to": f"{prefix}mine"}))


@pytest.mark.parametrize("name", ["analysis:queue", "alerts:pending", "", "r" * 201, 5])
def test_nor_that_of_a_door_nor_anything_but_a_name(name: object) -> None:
    with pytest.raises(BadEnvelope, match="reply_to"):
        _read(orjson.dumps({"kind": "work", "reply_to": name}))


def test_every_key_of_ours_has_a_prefix_that_pushers_may_not_use() -> None:
    ours = [
        keys.RECENT, keys.EVENTS, keys.WORKERS, keys.job("x"), keys.answer("x"), keys.arriving("w", LIST),
        keys.desk("w"), keys.heartbeat("w"), keys.cancels("w"), keys.dead(LIST), keys.idempotency("c", "k"),
        keys.front("x"), keys.leader("scheduler"), "health:w", "same:digest", "workers:dead",
    ]  # fmt: skip
    assert [key for key in ours if not key.startswith(keys.RESERVED_PREFIXES)] == []


def test_the_shortest_job_gets_an_id_and_its_defaults() -> None:
    job = _read(b'{"kind":"work"}')
    assert (job.kind, job.params, job.reply_to, job.trace, job.client) == (WORK, Ask(), "", "", "")
    assert orjson.loads(job.text) == {"kind": "work", "id": job.id}
    assert _read(b'{"kind":"work"}').id != job.id


def test_a_job_with_all_fields_is_taken_as_it_was_pushed() -> None:
    body = {
        "id": "My.id_1-2", "kind": "work", "params": {"n": 3}, "submitted_at": "2026-01-01T00:00:00Z",
        "reply_to": "n8n:answers", "trace": "t", "client": "n8n",
    }  # fmt: skip
    raw = orjson.dumps(body, option=orjson.OPT_INDENT_2)
    job = _read(raw)
    assert (job.id, job.params, job.reply_to, job.trace, job.client) == (
        "My.id_1-2",
        Ask(n=3),
        "n8n:answers",
        "t",
        "n8n",
    )
    assert job.text == raw


def test_the_largest_envelope_allowed_is_allowed() -> None:
    assert _read(b'{"kind":"work"}'.ljust(LIMIT)).kind is WORK


def test_a_job_on_another_list_is_told_where_it_belongs() -> None:
    with pytest.raises(BadEnvelope, match="does not belong on backtest:queue") as refused:
        _read(b'{"kind":"work"}', "backtest:queue")
    assert LIST in refused.value.hint


def test_what_is_wrong_is_said_without_repeating_private_values() -> None:
    with pytest.raises(InvalidRequest) as refused:
        _read(b'{"kind":"work","params":{"n":"hunter2"}}')
    assert "hunter2" not in refused.value.message + refused.value.hint


def test_what_we_write_is_read_as_it_was_meant() -> None:
    raw = envelope.write("one", WORK, Ask(n=4, text="ü"), reply_to="mine", trace="t", client="c")
    job = _read(raw)
    assert (job.id, job.kind, job.params, job.text) == ("one", WORK, Ask(n=4, text="ü"), raw)
    assert (job.reply_to, job.trace, job.client) == ("mine", "t", "c")


@given(n=st.integers(-(2**31), 2**31), text=st.text(max_size=20))
def test_equal_requests_have_one_digest_and_others_another(n: int, text: str) -> None:
    digest = envelope.params_digest(WORK, Ask(n=n, text=text))
    assert digest == envelope.params_digest(WORK, Ask.model_validate({"text": text, "n": n}))
    assert digest != envelope.params_digest(OTHER, Ask(n=n, text=text))
    assert digest != envelope.params_digest(WORK, Ask(n=n + 1, text=text))


_json: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_fields = st.sampled_from(["kind", "params", "id", "reply_to", "trace", "client", "submitted_at", "more"])
_pushed = st.binary() | st.dictionaries(_fields, _json | st.just("work")).map(orjson.dumps)


@given(raw=_pushed)
def test_whatever_is_pushed_is_a_job_or_refused_with_a_dead_letter_that_can_be_stored(raw: bytes) -> None:
    """Nothing else is raised: anything else would break the task that takes from the list."""
    kind, reply_to = envelope.hints(raw)
    named = envelope.named_id(raw)
    try:
        job = _read(raw)
    except CryptoMcpError as error:
        entry = orjson.loads(envelope.dead_entry(raw, LIST, error, job_id=None, attempts=0, worker="w", at=0.0))
        kept = entry.get("envelope")
        assert raw == (kept.encode() if kept is not None else bytes.fromhex(entry["envelope_hex"]))
    else:
        assert (kind, reply_to) == (job.kind.name, job.reply_to)
        assert named in ("", job.id)


@pytest.mark.parametrize("case", REFUSED)
def test_the_id_of_a_refused_envelope_is_read_only_where_it_is_one(case: str) -> None:
    assert envelope.named_id(REFUSED[case][0]) == ""


def test_the_id_of_a_refused_envelope_is_read_whatever_else_is_wrong() -> None:
    assert envelope.named_id(b'{"id":"one","kind":5,"more":[]}') == "one"
    assert envelope.hints(b'{"kind":"nobody","reply_to":"mine"}') == ("nobody", "mine")
    assert envelope.hints(b'{"kind":"nobody","reply_to":"job:1"}') == ("", "")
