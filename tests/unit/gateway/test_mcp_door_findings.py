"""What an MCP client hears of results that look aimed at its model."""

from services.mcp_gateway.domain.server import ServerConfig
from tests.unit.gateway.mcp_door import Door, legacy, modern, opened

QUOTE = {"name": "quote", "arguments": {}}
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": QUOTE}


async def test_findings_come_with_the_result_in_both_eras() -> None:
    door = Door()
    answers = [
        await modern(door, "tools/call", QUOTE).whole(),
        await legacy(door, CALL, await opened(door)).whole(),
    ]
    for result in (answer.json["result"] for answer in answers):
        assert "previous instructions" in result["content"][0]["text"]
        (finding,) = result["_meta"]["agentic-platform/findings"]
        assert (finding["rule"], finding["where"]) == ("override", "content[0].text")


async def test_a_result_that_is_withheld_is_not_quoted() -> None:
    door = Door(config=ServerConfig(screening="block"))
    answer = await modern(door, "tools/call", QUOTE).whole()
    result = answer.json["result"]
    assert result["isError"]
    assert result["_meta"]["agentic-platform/error"]["code"] == "result_flagged"
    assert "previous" not in str(result)
