"""Whose turn it is, as Redis' clock and all workers see it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from crypto_mcp.jobs.connection import connect
from crypto_mcp.notify.pacing import Pacing, Turn, Wait
from crypto_mcp.settings import NotifySettings, Settings

if TYPE_CHECKING:
    from typing import Any


def pacing(settings: Settings, **how: Any) -> Pacing:
    return Pacing(connect(settings.redis.session_url, settings.redis), NotifySettings(**how))


async def turn(of: Pacing, *, lane: str = "", person: str = "p", critical: bool = False) -> Turn | Wait:
    """In a lane that nobody else is in, unless one is named."""
    return await of.take(lane or secrets.token_hex(4), "meta", person, critical=critical)


async def told(of: Pacing, person: str, *, critical: bool = False) -> Wait | None:
    """One message to a person; why it has to wait, if it does."""
    taken = await turn(of, person=person, critical=critical)
    return taken if isinstance(taken, Wait) else await of.charge(taken)


async def test_one_worker_at_a_time_writes_to_a_person(settings: Settings) -> None:
    one, other = pacing(settings), pacing(settings)
    mine = await turn(one, lane="lane")
    assert isinstance(mine, Turn)
    waiting = await turn(other, lane="lane")
    assert isinstance(waiting, Wait)
    assert waiting.why == "lane"
    await one.leave(mine)
    assert isinstance(await turn(other, lane="lane"), Turn)


async def test_who_comes_back_too_late_does_not_send(settings: Settings) -> None:
    """A worker that was stopped while the lane ran out finds it lost, just before it would send."""
    of = pacing(settings)
    late = await turn(of, lane="lane")
    assert isinstance(late, Turn)
    await of._script.registered_client.delete("notify:lane:lane")
    assert isinstance(await turn(of, lane="lane"), Turn)
    lost = await of.charge(late)
    assert lost is not None
    assert lost.why == "lost"


async def test_a_burst_to_one_person_is_paid_back_before_the_next_message(settings: Settings) -> None:
    """As Meta counts: so many within one interval may go ahead, and then it takes as long as if they had not."""
    of = pacing(settings, pair_seconds=30, pair_burst=3, digest_after=100)
    assert [await told(of, "a") for _ in range(3)] == [None] * 3
    refused = await told(of, "a")
    assert refused is not None
    assert refused.why == "pair"
    assert 60 < refused.seconds <= 90
    assert await told(of, "b") is None


async def test_messages_a_second_of_a_number_are_shared_by_all_workers(settings: Settings) -> None:
    workers = [pacing(settings, meta_per_second=2, digest_after=100) for _ in range(3)]
    answers = [await told(workers[i % 3], f"person {i}") for i in range(6)]
    waits = [each for each in answers if each is not None]
    assert answers[0] is None
    assert waits
    assert {each.why for each in waits} == {"sender"}


async def test_after_a_few_messages_others_wait_to_become_one_and_what_is_critical_does_not(settings: Settings) -> None:
    of = pacing(settings, digest_after=2, digest_window=60)
    assert [await told(of, "a") for _ in range(2)] == [None] * 2
    waiting = await told(of, "a")
    assert waiting is not None
    assert waiting.why == "digest"
    assert 50 < waiting.seconds <= 60
    assert await told(of, "a", critical=True) is None


async def test_refusals_in_a_row_make_one_person_wait_ever_longer(settings: Settings) -> None:
    """1, 4, 16 seconds; a message that goes ends it."""
    of = pacing(settings)
    taken = await turn(of, person="a")
    assert isinstance(taken, Turn)
    for seconds in (1, 4, 16):
        await of.refused(taken)
        waiting = await told(of, "a")
        assert waiting is not None
        assert seconds - 1 < waiting.seconds <= seconds
    assert await told(of, "b") is None
    await of.went(taken)
    assert await told(of, "a") is None


async def test_what_was_refused_is_not_counted_as_told(settings: Settings) -> None:
    """After two messages others wait; of two, one was refused, so that one more may go once the rest is over."""
    of = pacing(settings, digest_after=2, digest_window=60)
    assert await told(of, "a") is None
    taken = await turn(of, person="a")
    assert isinstance(taken, Turn)
    assert await of.charge(taken) is None
    await of.refused(taken)
    await of.went(taken)
    await of.leave(taken)
    assert [None if (wait := await told(of, "a")) is None else wait.why for _ in range(2)] == [None, "digest"]


async def test_a_stopped_sender_says_why(settings: Settings) -> None:
    of = pacing(settings)
    taken = await turn(of)
    assert isinstance(taken, Turn)
    await of.stop(taken, 300, "operator meta_190")
    waiting = await told(of, "anybody")
    assert waiting is not None
    assert (waiting.why, waiting.said) == ("stopped", "operator meta_190")
