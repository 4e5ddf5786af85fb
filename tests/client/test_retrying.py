"""When a request is sent again, and after which pause: driven by hand, without a network or a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import orjson
import pytest

from crypto_mcp.client.exchange import Call, Pause, Retrying, sent
from crypto_mcp.client.problems import problem_of
from crypto_mcp.errors import (
    CryptoMcpError,
    InternalError,
    InvalidRequest,
    QueueFull,
    TimedOut,
    TooManyRequests,
    Unavailable,
)
from crypto_mcp.retry_after import asked_pause

URL = "http://front.end"
READ, CHANGE = Call("GET", "/v1/kinds"), Call("POST", "/v1/jobs/x", repeatable=False)


def problem(status: int, code: str, *, retry_after: float | None = None, **more: Any) -> httpx2.Response:
    said = {
        "type": "t",
        "title": "T",
        "status": status,
        "detail": "d",
        "code": code,
        "instance": "/",
        "request_id": "r",
    }
    return answer(status, orjson.dumps(said | {"retry_after": retry_after} | more))


def answer(status: int, content: bytes = b"{}", **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, headers=named, content=content, request=httpx2.Request("GET", f"{URL}/v1"))


def outcome(call: Call, *events: httpx2.Response | Exception, times: int = 3) -> tuple[list[float], Any]:
    """The pauses an exchange makes when these happen one after the other, and what it ends with."""
    exchange, pauses, left = sent(call, URL, Retrying(times)), [], list(events)
    step = next(exchange)
    try:
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                step = exchange.send(None)
                continue
            event = left.pop(0)
            step = exchange.throw(event) if isinstance(event, Exception) else exchange.send(event)
    except StopIteration as end:
        assert not left
        return pauses, end.value
    except CryptoMcpError as error:
        assert not left
        return pauses, error


@pytest.mark.parametrize("call", [READ, CHANGE])
@pytest.mark.parametrize("code", ["too_many_requests", "too_many_jobs"])
def test_a_refusal_is_repeated_after_the_pause_it_asks_for(call: Call, code: str) -> None:
    """Whatever the call does: what was refused was not done."""
    (pause,), response = outcome(call, problem(429, code, retry_after=7.5), answer(200))
    assert 7.5 <= pause <= 8.25
    assert response.status_code == 200


def test_a_full_queue_is_waited_for() -> None:
    (pause,), _ = outcome(CHANGE, problem(503, "queue_full", retry_after=5), answer(202))
    assert 5 <= pause <= 5.5


def test_a_proxy_is_believed_by_its_header_in_seconds_or_as_a_date() -> None:
    (pause,), _ = outcome(READ, answer(503, b"<html>", retry_after="4"), answer(200))
    assert 4 <= pause <= 4.4
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < (asked_pause(then) or 0) <= 30
    assert [asked_pause(text) for text in ("", "soon", "inf", "-1", None)] == [None, None, None, 0.0, None]


def test_a_pause_too_long_is_raised_with_the_time_to_come_back() -> None:
    pauses, error = outcome(READ, problem(429, "too_many_requests", retry_after=61))
    assert pauses == []
    assert isinstance(error, TooManyRequests)
    assert error.retry_after == 61


def test_pauses_of_its_own_grow_and_end() -> None:
    pauses, error = outcome(READ, *[problem(503, "store_unavailable")] * 4)
    assert [low <= pause <= 2 * low for pause, low in zip(pauses, (0.125, 0.25, 0.5), strict=True)] == [True] * 3
    assert error.code == "store_unavailable"
    assert outcome(READ, problem(503, "unavailable"), times=0)[0] == []


@pytest.mark.parametrize(
    "error", [httpx2.ReadError("cut"), problem(503, "store_unavailable"), problem(504, "timed_out")]
)
def test_what_may_have_been_done_is_not_done_again(error: Any) -> None:
    assert len(outcome(READ, error, answer(200))[0]) == 1
    pauses, raised = outcome(CHANGE, error)
    assert pauses == []
    assert isinstance(raised, (Unavailable, TimedOut))


def test_what_never_arrived_is_sent_again_whatever_it_does() -> None:
    assert len(outcome(CHANGE, httpx2.ConnectError("refused"), answer(200))[0]) == 1


def test_a_failed_job_is_not_submitted_again() -> None:
    """It had its tries; the error says when another may succeed."""
    pauses, error = outcome(READ, problem(503, "source_unavailable", retry_after=3, job_id="j1"))
    assert pauses == []
    assert (error.job_id, error.retry_after) == ("j1", 3)


def test_what_is_wrong_for_good_is_not_repeated() -> None:
    assert outcome(READ, problem(422, "invalid_request"))[0] == []


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (answer(502, b"<html>"), Unavailable, "answered 502 and no problem"),
        (answer(429, b""), TooManyRequests, "429"),
        (answer(404, b"nothing"), InvalidRequest, "404"),
        (answer(500, b"{}"), InternalError, "500"),
        (answer(301, b"", location="https://front.end/v1"), InvalidRequest, "301"),
        (problem(503, "queue_full"), QueueFull, "d"),
        (problem(409, "nothing_to_repeat"), InvalidRequest, "d"),
    ],
)
def test_every_answer_that_is_none_is_an_error_of_ours(
    response: httpx2.Response, kind: type[CryptoMcpError], words: str
) -> None:
    error = problem_of(response)
    assert isinstance(error, kind)
    assert words in error.message


def test_a_code_of_a_newer_front_end_is_kept_and_its_fields_are_left_out() -> None:
    error = problem_of(problem(418, "teapot", colour="brown"))
    assert (type(error).__mro__[1], error.code, error.http_status) == (InvalidRequest, "teapot", 418)
