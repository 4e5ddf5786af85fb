"""The sandbox's WhatsApp refuses as Meta does: the wire formats are held against Meta's published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from tests.sandbox_server import SandboxServer, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

URL = "/graph/v25.0/100000000000001/messages"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox(whatsapp_token=SecretStr("right")) as server:
        yield server


def send(sandbox: SandboxServer, to: str = "+12025550150", *, token: str = "right", **body: Any) -> httpx2.Response:
    given = {"messaging_product": "whatsapp", "to": to, **(body or {"type": "text", "text": {"body": "Hi"}})}
    return sandbox.http.post(sandbox.url + URL, json=given, headers={"Authorization": f"Bearer {token}"})


def template(*parameters: str, name: str = "crypto_alert", language: str = "en_US") -> dict[str, Any]:
    given = [{"type": "text", "text": each} for each in parameters]
    components = [{"type": "body", "parameters": given}]
    inside = {"name": name, "language": {"code": language}, "components": components}
    return {"type": "template", "template": inside}


def test_what_is_accepted_is_answered_as_meta_does(sandbox: SandboxServer) -> None:
    answer = send(sandbox, **template("a", "b", "c")).json()
    assert answer["contacts"] == [{"input": "+12025550150", "wa_id": "12025550150"}]
    (message,) = answer["messages"]
    assert message["id"].startswith("wamid.")
    assert message["message_status"] == "accepted"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (template("a", "b"), 132000),
        (template("a", "b", "c", name="unknown"), 132001),
        (template("a", "b", "c", language="de"), 132001),
        (template("a\nb", "b", "c"), 100),
        (template("a", "b     c", "c"), 100),
        (template("123456", name="crypto_code"), 131008),
        ({"type": "text", "text": {"body": ""}}, 131008),
        ({"type": "text", "text": {"body": "x" * 4097}}, 100),
        ({"type": "sticker"}, 131051),
    ],
)
def test_bad_messages_are_refused_with_their_code(sandbox: SandboxServer, body: dict[str, Any], code: int) -> None:
    refused = send(sandbox, **body)
    error = refused.json()["error"]
    assert refused.status_code == 400
    assert error["code"] == code
    assert error["type"] == "OAuthException"
    assert error["error_data"]["messaging_product"] == "whatsapp"


def test_a_wrong_token_is_told_from_a_wrong_number(sandbox: SandboxServer) -> None:
    assert send(sandbox, token="wrong").json()["error"]["code"] == 190
    assert send(sandbox, to="nobody").json()["error"]["code"] == 131009


def test_a_burst_to_one_person_is_paid_back(sandbox: SandboxServer) -> None:
    """45 within six seconds go ahead; the next is allowed when as many intervals have passed."""
    sandbox.clock.stop()
    number = "+12025550151"
    answers = [send(sandbox, to=number).status_code for _ in range(46)]
    assert answers == [200] * 45 + [400]
    sandbox.clock.ahead += 44 * 6000
    assert send(sandbox, to=number).json()["error"]["code"] == 131056
    sandbox.clock.ahead += 6000
    assert send(sandbox, to=number).status_code == 200


def test_more_than_eighty_a_second_are_too_many_for_the_number(sandbox: SandboxServer) -> None:
    sandbox.clock.ahead += 1000
    codes = [send(sandbox, to=f"+1202555{1000 + i}").status_code for i in range(81)]
    assert codes == [200] * 80 + [429]
