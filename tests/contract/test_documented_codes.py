"""Every code that steps and executions fail with, and that requests are refused with, is documented."""

import re
from pathlib import Path

import pytest

from services.mcp_gateway.domain.call import RETRYABLE
from services.workflow.errors import STATUSES
from shared.http.problems import STATUSES as COMMON

ROOT = Path(__file__).parents[2]
DOCUMENTED = {code for file in (ROOT / "docs").glob("*.md") for code in re.findall(r"`([a-z_]+)`", file.read_text())}
MADE = re.compile(r'(?:StepError|TaskError)\(\s*"([a-z_]+)"')
RAISED = re.compile(r'^    code = "([a-z_]+)"$', re.MULTILINE)
FAULT = re.compile(r'fault\([^()]*(?:\([^()]*\)[^()]*)*"([a-z]+(?:_[a-z]+)+)"\s*\)')


def codes() -> set[str]:
    found = set(RETRYABLE) | set(STATUSES) | set(COMMON)
    for folder in ("services/workflow", "services/mcp_gateway", "shared/bus", "shared/secrets"):
        for file in (ROOT / folder).rglob("*.py"):
            found |= set(MADE.findall(file.read_text()))
    for file in [*(ROOT / "services" / "workflow").rglob("*.py"), *(ROOT / "shared" / "secrets").rglob("*.py")]:
        found |= set(RAISED.findall(file.read_text()))
    for file in (ROOT / "services" / "workflow" / "domain" / "language").rglob("*.py"):
        found |= set(FAULT.findall(file.read_text()))
    return found


@pytest.mark.parametrize("code", sorted(codes()))
def test_a_code_is_documented(code: str) -> None:
    assert code in DOCUMENTED


def test_the_codes_are_found() -> None:
    assert {"step_timeout", "http_status", "tool_timeout", "history_too_long", "bad_items", "bad_wait_for"} <= codes()
    assert {"secret_not_found", "secrets_unavailable"} <= codes()
    assert {"store_away", "slug_taken", "wait_not_found", "idempotency_in_progress"} <= codes()
