"""What MCP has beside tools: prompts, resources and their changes, completion, logging, asking the user back."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitResult, PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from crypto_mcp.catalogue import CATALOGUE as REAL_CATALOGUE
from crypto_mcp.server.prompts import Prompts
from tests.server import kinds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MODERN = "2026-07-28"


async def test_every_prompt_is_written_with_its_arguments(address: str) -> None:
    """A user's text stands in it as a text, whatever it looks like; what is missing, unknown or too long is refused."""
    async with Client(f"{address}/mcp", mode=MODERN) as client:
        for prompt in (await client.list_prompts()).prompts:
            needed = {each.name: f"${{{each.name}}} {{x}}" for each in prompt.arguments or () if each.required}
            written = (await client.get_prompt(prompt.name, needed)).messages[0].content
            assert isinstance(written, TextContent)
            assert all(value in written.text for value in needed.values())
            for wrong in ({**needed, "other": "x"}, {**needed, next(iter(prompt.arguments or ())).name: "x" * 501}):
                with pytest.raises(MCPError, match=prompt.name):
                    await client.get_prompt(prompt.name, wrong)
        with pytest.raises(MCPError, match="missing: idea, symbol"):
            await client.get_prompt("design_strategy", {})
        with pytest.raises(MCPError, match="Unknown prompt"):
            await client.get_prompt("other", {})


def test_prompts_name_tools_that_exist() -> None:
    tools = {kind.name for kind in REAL_CATALOGUE.tools()}
    for task in Prompts().by_name.values():
        assert set(re.findall(r"[Cc]all (\w+)", task.text)) <= tools


async def test_resources_are_listed_and_read(address: str, text: str) -> None:
    """The language, contracts, jobs, and what a kind answers for an address."""
    async with Client(f"{address}/mcp", mode=MODERN) as client:
        listed = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert {"crypto://conditions", "crypto://kinds/echo"} <= listed
        templates = {each.uri_template for each in (await client.list_resource_templates()).resource_templates}
        assert templates == {
            "crypto://kinds/{kind}", "crypto://kinds/{kind}/{part}", "crypto://conditions/{group}",
            "crypto://jobs/{job_id}", "crypto://echoes/{text}/{times}",
        }  # fmt: skip

        async def read(uri: str) -> str:
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            return content.text

        language = await read("crypto://conditions")
        for group, word in re.findall(r"^- ([a-z-]+): (\w+)", language, re.MULTILINE):
            assert f"`{word}(" in await read(f"crypto://conditions/{group}")
        assert "engulfing" in await read("crypto://conditions/candlestick-patterns")
        assert json.loads(await read("crypto://kinds/echo"))["params_schema"]["required"] == ["text"]
        whole = json.loads(await read("crypto://kinds/echo/params"))
        assert whole["properties"]["times"]["maximum"] == 10
        assert "text" in json.loads(await read("crypto://kinds/echo/result"))["properties"]
        answer = json.loads(await read(f"crypto://echoes/{text}%20x/2"))
        assert answer["result"]["text"] == f"{text} x" * 2
        job = (await client.call_tool("uncached", {"text": text})).structured_content
        assert job is not None
        assert json.loads(await read(f"crypto://jobs/{job['job_id']}"))["state"] == "done"
        for uri, said in (
            ("crypto://nothing", "not found"),
            ("crypto://kinds/ecko", "not found"),
            ("crypto://kinds/echo/other", "not found"),
            ("crypto://conditions/other", "not found"),
            ("crypto://jobs/0123456789ab", "there is no job"),
            (f"crypto://echoes/{text}/99", "times"),
        ):
            with pytest.raises(MCPError, match=said):
                await client.read_resource(uri)


async def test_who_watches_a_job_hears_of_its_changes(address: str, text: str) -> None:
    async with Client(f"{address}/mcp", mode=MODERN) as client:
        job = (await client.call_tool("gated", {"text": text, "wait": 0})).structured_content
        assert job is not None
        uri = f"crypto://jobs/{job['job_id']}"
        async with client.listen(resource_subscriptions=[uri, "crypto://jobs/0123456789ab"]) as changes:
            kinds.gates[text].set()
            async for _ in changes:
                (content,) = (await client.read_resource(uri)).contents
                assert isinstance(content, TextResourceContents)
                if json.loads(content.text)["state"] == "done":
                    break


async def test_completion_proposes_what_is_there(address: str) -> None:
    async with Client(f"{address}/mcp", mode=MODERN) as client:
        template = ResourceTemplateReference(type="ref/resource", uri="crypto://analyses/{symbol}/{timeframe}")
        found = await client.complete(template, {"name": "timeframe", "value": "1"})
        assert {"1m", "1h", "1d", "1w"} <= set(found.completion.values)
        assert all(value.startswith("1") for value in found.completion.values)
        prompt = PromptReference(type="ref/prompt", name="daily_brief")
        assert (await client.complete(prompt, {"name": "other", "value": "x"})).completion.values == []
        kind = ResourceTemplateReference(type="ref/resource", uri="crypto://kinds/{kind}")
        assert (await client.complete(kind, {"name": "kind", "value": "unc"})).completion.values == ["uncached"]


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_a_client_that_wants_to_know_is_told_how_a_call_was_answered(address: str, text: str, mode: str) -> None:
    """By the level it set, over the processes of the front end; others hear nothing."""
    told: list[Any] = []
    heard = asyncio.Event()

    async def listening(message: Any) -> None:
        told.append(message.data)
        heard.set()

    async with Client(f"{address}/mcp", mode=mode, logging_callback=listening) as client:
        await client.call_tool("uncached", {"text": text})
        assert told == []
        if mode == "legacy":
            await client.set_logging_level("info")
            await client.call_tool("uncached", {"text": text})
        else:
            level = {"io.modelcontextprotocol/logLevel": "info"}
            await client.call_tool("uncached", {"text": text}, meta=level)  # type: ignore[arg-type]
        await heard.wait()
        assert told[0]["kind"] == "uncached"
        if mode == "legacy":
            await client.set_logging_level("emergency")


def answering(action: str, content: dict[str, Any] | None, asked: list[str]) -> Callable[..., Awaitable[ElicitResult]]:
    async def answer(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content=content)  # type: ignore[arg-type]

    return answer


async def test_what_cannot_be_taken_back_is_asked_first_where_the_client_can_ask(address: str, text: str) -> None:
    """Agreed, it is done; declined, dismissed or without a yes, nothing is; a client that cannot ask goes on."""
    asked: list[str] = []
    for action, content, done in (
        ("decline", None, False),
        ("cancel", None, False),
        ("accept", {"confirm": False}, False),
        ("accept", {"confirm": True}, True),
    ):
        callback = answering(action, content, asked)
        async with Client(f"{address}/mcp", mode=MODERN, elicitation_callback=callback) as client:  # type: ignore[arg-type]
            answer = await client.call_tool("wipe", {"text": text})
            assert answer.structured_content is not None
            assert (answer.structured_content["status"] == "done") is done
            if not done:
                assert answer.structured_content["error"]["code"] == "declined"
            assert kinds.ran[text] == int(done)
    assert asked == [f"Wipe {text}?"] * 4
    async with Client(f"{address}/mcp", mode=MODERN) as client:
        assert not (await client.call_tool("wipe", {"text": text, "times": 2})).is_error
