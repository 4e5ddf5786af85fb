"""Jobs over REST, against a real worker."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.server import kinds

if TYPE_CHECKING:
    import httpx2


async def submit(http: httpx2.AsyncClient, kind: str, text: str, **more: Any) -> httpx2.Response:
    return await http.post(f"/v1/jobs/{kind}", json={"text": text}, **more)


async def running(http: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    """The job's record, once a worker has reported progress."""
    while True:
        record: dict[str, Any] = (await http.get(f"/v1/jobs/{job_id}")).json()
        if "progress" in record:
            return record


async def test_a_call_that_waits_is_answered_with_the_result(http: httpx2.AsyncClient, text: str) -> None:
    answered = await submit(http, "uncached", text, params={"wait": 20})
    assert answered.status_code == 200
    body = answered.json()
    assert body["status"] == "done"
    assert body["result"] == {"text": text, "length": len(text)}
    assert body["cached"] is False
    assert body["timings"]["total_ms"] >= 0


async def test_a_job_is_submitted_polled_and_fetched(http: httpx2.AsyncClient, text: str) -> None:
    accepted = await submit(http, "uncached", text)
    assert accepted.status_code == 202
    assert accepted.json()["status"] == "queued"
    assert int(accepted.headers["retry-after"]) >= 1
    record = (await http.get(accepted.headers["location"], params={"wait": 20})).json()
    assert (record["state"], record["kind"], record["attempts"]) == ("done", "uncached", 1)
    result = await http.get(f"/v1/jobs/{record['job_id']}/result")
    assert result.status_code == 200
    assert result.json()["result"]["text"] == text


async def test_the_next_step_of_an_answer_leads_to_the_result(http: httpx2.AsyncClient, text: str) -> None:
    step = (await submit(http, "uncached", text)).json()["next"][0]
    followed = await http.request(step["method"], step["href"])
    assert followed.json()["result"]["text"] == text


async def test_a_result_that_is_not_there_yet_is_202_with_progress(http: httpx2.AsyncClient, text: str) -> None:
    job_id = (await submit(http, "gated", text)).json()["job_id"]
    record = await running(http, job_id)
    assert record["progress"] == {"fraction": 0.25, "words": "before the gate"}
    early = await http.get(f"/v1/jobs/{job_id}/result")
    assert early.status_code == 202
    assert "retry-after" in early.headers
    waiting = asyncio.create_task(http.get(f"/v1/jobs/{job_id}/result", params={"wait": 20}))
    kinds.gates[text].set()
    assert (await waiting).json()["result"]["text"] == text


async def test_a_long_poll_ends_with_the_job(http: httpx2.AsyncClient, text: str) -> None:
    job_id = (await submit(http, "gated", text)).json()["job_id"]
    polling = asyncio.create_task(http.get(f"/v1/jobs/{job_id}", params={"wait": 25}))
    await running(http, job_id)
    assert not polling.done()
    kinds.gates[text].set()
    assert (await polling).json()["state"] == "done"


async def test_a_running_job_is_cancelled(http: httpx2.AsyncClient, text: str) -> None:
    job_id = (await submit(http, "gated", text)).json()["job_id"]
    await running(http, job_id)
    assert (await http.delete(f"/v1/jobs/{job_id}")).status_code == 202
    assert (await http.get(f"/v1/jobs/{job_id}", params={"wait": 20})).json()["state"] == "cancelled"
    result = await http.get(f"/v1/jobs/{job_id}/result")
    assert (result.status_code, result.json()["code"], result.json()["job_id"]) == (409, "cancelled", job_id)
    assert (await http.delete(f"/v1/jobs/{job_id}")).status_code == 200


async def test_a_client_that_goes_away_does_not_stop_its_job(http: httpx2.AsyncClient, text: str) -> None:
    waiting = asyncio.create_task(submit(http, "gated", text, params={"wait": 20}))
    while not (jobs := (await http.get("/v1/jobs", params={"kind": "gated", "state": "running"})).json()["jobs"]):
        pass
    waiting.cancel()
    kinds.gates[text].set()
    assert (await http.get(f"/v1/jobs/{jobs[0]['job_id']}", params={"wait": 20})).json()["state"] == "done"


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [("bad", 422, "not_enough_data"), ("away", 503, "source_unavailable"), ("crash", 500, "internal_error")],
)
async def test_a_failed_job_is_a_problem_with_the_code_of_its_error(
    http: httpx2.AsyncClient, how: str, status: int, code: str
) -> None:
    answered = await submit(http, "failing", how, params={"wait": 20})
    problem = answered.json()
    assert answered.status_code == problem["status"] == status
    assert answered.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["hint"]
    assert "secret" not in answered.text
    assert answered.headers.get("retry-after") == ("3" if how == "away" else None)
    record = (await http.get(f"/v1/jobs/{problem['job_id']}")).json()
    assert record["error"]["code"] == code


async def test_a_hundred_equal_calls_are_one_job(http: httpx2.AsyncClient, text: str) -> None:
    waiting = [asyncio.create_task(submit(http, "gated", text, params={"wait": 20})) for _ in range(10)]
    answers = await asyncio.gather(*(submit(http, "gated", text) for _ in range(100)))
    job_ids = {answer.json()["job_id"] for answer in answers}
    assert len(job_ids) == 1
    await running(http, job_ids.pop())
    kinds.gates[text].set()
    assert {answer.json()["result"]["text"] for answer in await asyncio.gather(*waiting)} == {text}
    assert kinds.ran[text] == 1


async def test_an_idempotency_key_stands_for_one_job(http: httpx2.AsyncClient, text: str) -> None:
    key = {"Idempotency-Key": text}
    first = await submit(http, "echo", text, params={"wait": 20}, headers=key)
    again = await submit(http, "echo", text, params={"wait": 20}, headers=key)
    assert first.json()["job_id"] == again.json()["job_id"]
    assert again.json()["result"] == first.json()["result"]
    assert kinds.ran[text] == 1
    other = await submit(http, "echo", text + "x", headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_recent_jobs_are_listed_by_kind_and_state(http: httpx2.AsyncClient, text: str) -> None:
    done = (await submit(http, "uncached", text, params={"wait": 20})).json()["job_id"]
    failed = (await submit(http, "failing", "bad", params={"wait": 20})).json()["job_id"]
    newest = (await http.get("/v1/jobs", params={"limit": 2})).json()["jobs"]
    assert [job["job_id"] for job in newest] == [failed, done]
    only = (await http.get("/v1/jobs", params={"kind": "uncached", "state": "done", "limit": 1})).json()["jobs"]
    assert [job["job_id"] for job in only] == [done]


async def test_recent_jobs_are_listed_page_by_page(http: httpx2.AsyncClient, text: str) -> None:
    """A page names the next; jobs that come meanwhile are on neither."""
    jobs = [(await submit(http, "failing", "bad", params={"wait": 20})).json()["job_id"] for _ in range(3)]
    page = await http.get("/v1/jobs", params={"kind": "failing", "limit": 2})
    assert [job["job_id"] for job in page.json()["jobs"]] == [jobs[2], jobs[1]]
    await submit(http, "failing", "bad", params={"wait": 20})
    step = page.json()["next"][0]
    assert f"<{step['href']}>" in page.headers["link"]
    older = (await http.get(step["href"])).json()["jobs"]
    assert older[0]["job_id"] == jobs[0]
    gone = await http.get("/v1/jobs", params={"after": "0123456789ab"})
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_job")


async def test_what_the_caller_has_already_is_not_sent_again(http: httpx2.AsyncClient, text: str) -> None:
    """By its tag, for as long as it stays the same."""
    job_id = (await submit(http, "gated", text)).json()["job_id"]
    await running(http, job_id)
    first = await http.get(f"/v1/jobs/{job_id}")
    tag = {"If-None-Match": first.headers["etag"]}
    same = await http.get(f"/v1/jobs/{job_id}", headers=tag)
    assert (same.status_code, same.content) == (304, b"")
    kinds.gates[text].set()
    await http.get(f"/v1/jobs/{job_id}", params={"wait": 20})
    assert (await http.get(f"/v1/jobs/{job_id}", headers=tag)).status_code == 200
    for path in (f"/v1/jobs/{job_id}/result", "/v1/kinds"):
        tag = {"If-None-Match": f'W/"other", {(await http.get(path)).headers["etag"]}'}
        assert (await http.get(path, headers=tag)).status_code == 304


async def test_a_batch_is_many_jobs_each_for_itself(http: httpx2.AsyncClient, text: str) -> None:
    """Refused ones say why in their place, and the others go on; the same key is the same jobs."""
    jobs = [
        {"kind": "uncached", "params": {"text": text}},
        {"kind": "ecko", "params": {"text": text}},
        {"kind": "echo", "params": {"text": ""}},
        {"kind": "uncached", "params": {"text": text, "times": 2}},
    ]
    key = {"Idempotency-Key": text}
    answers = (await http.post("/v1/jobs", json={"jobs": jobs}, headers=key)).json()["answers"]
    assert [answer["status"] for answer in answers] == ["queued", "failed", "failed", "queued"]
    assert [answers[i]["error"]["code"] for i in (1, 2)] == ["unknown_kind", "invalid_request"]
    last = (await http.get(answers[3]["next"][0]["href"])).json()
    assert last["result"]["text"] == text * 2
    again = (await http.post("/v1/jobs", json={"jobs": jobs}, headers=key)).json()["answers"]
    assert [answer.get("job_id") for answer in again] == [answer.get("job_id") for answer in answers]
    for wrong in ({"jobs": []}, {"jobs": [jobs[0]] * 101}, {}, []):
        assert (await http.post("/v1/jobs", json=wrong)).status_code == 422


async def test_a_job_tells_of_its_changes_as_they_happen(http: httpx2.AsyncClient, text: str) -> None:
    """Where it stands at once, progress on its way, and its end, which ends the stream."""
    job_id = (await submit(http, "gated", text)).json()["job_id"]
    await running(http, job_id)
    told: list[tuple[str, dict[str, Any]]] = []
    async with http.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                told.append((name, json.loads(line.removeprefix("data: "))))
                kinds.gates[text].set()
    assert told[0][0] == "running"
    assert told[0][1]["progress"]["fraction"] == 0.25
    assert told[-1][0] == told[-1][1]["state"] == "done"
    unknown = await http.get("/v1/jobs/0123456789ab/events")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_job")


async def test_the_request_id_reaches_the_job(http: httpx2.AsyncClient, text: str) -> None:
    answered = await submit(http, "uncached", text, params={"wait": 20}, headers={"X-Request-ID": "from-outside.1"})
    assert answered.headers["x-request-id"] == "from-outside.1"
    record = (await http.get(f"/v1/jobs/{answered.json()['job_id']}")).json()
    assert record["trace"] == "from-outside.1"


async def test_an_unusable_request_id_is_replaced(http: httpx2.AsyncClient) -> None:
    answered = await http.get("/", headers={"X-Request-ID": "a b\tc"})
    assert answered.headers["x-request-id"] != "a b\tc"
    assert len(answered.headers.get_list("x-request-id")) == 1


async def test_kinds_are_described_with_schemas_and_examples_that_fit(http: httpx2.AsyncClient) -> None:
    listed = {kind["name"]: kind for kind in (await http.get("/v1/kinds")).json()["kinds"]}
    assert set(listed) == {"echo", "kept", "uncached", "gated", "failing", "wipe"}
    assert listed["echo"]["params_schema"]["required"] == ["text"]
    answered = await http.post(listed["echo"]["href"], params={"wait": 20}, json=listed["echo"]["example"])
    assert answered.status_code == 200


async def test_an_internal_kind_is_not_on_offer(http: httpx2.AsyncClient, text: str) -> None:
    answered = await submit(http, "internal", text)
    assert (answered.status_code, answered.json()["code"]) == (404, "unknown_kind")


async def test_an_unknown_job_is_404_wherever_it_is_asked_for(http: httpx2.AsyncClient) -> None:
    for method, path in (("GET", ""), ("GET", "/result"), ("DELETE", "")):
        answered = await http.request(method, f"/v1/jobs/0123456789ab{path}")
        assert (answered.status_code, answered.json()["code"]) == (404, "unknown_job")
    waited = await http.get("/v1/jobs/0123456789ab", params={"wait": 20})
    assert waited.status_code == 404


async def test_an_error_is_answered_with_its_own_status(http: httpx2.AsyncClient) -> None:
    """Of a job as of its record: the worker says which, so that the front end need not know the error."""
    failed = await submit(http, "failing", "odd", params={"wait": 20})
    assert (failed.status_code, failed.json()["code"]) == (409, "only_workers_know")
    assert (await http.get(f"/v1/jobs/{failed.json()['job_id']}/result")).status_code == 409
