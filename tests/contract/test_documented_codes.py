"""Every code that a step or an execution can fail with stands in the documentation."""

import re
from pathlib import Path

import pytest

from services.mcp_gateway.domain.call import RETRYABLE

ROOT = Path(__file__).parents[2]
DOCUMENTED = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs" / "workflow-language.md").read_text()))
MADE = re.compile(r'(?:StepError|TaskError)\(\s*"([a-z_]+)"')


def codes() -> set[str]:
    found = set(RETRYABLE)
    for folder in ("services/workflow", "services/mcp_gateway", "shared/bus"):
        for file in (ROOT / folder).rglob("*.py"):
            found |= set(MADE.findall(file.read_text()))
    return found


@pytest.mark.parametrize("code", sorted(codes()))
def test_a_code_is_documented(code: str) -> None:
    assert code in DOCUMENTED


def test_the_codes_are_found() -> None:
    assert {"step_timeout", "http_status", "tool_timeout", "history_too_long", "timeout"} <= codes()
