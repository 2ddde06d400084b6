"""What is said twice is the same, and what must start quickly imports little."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra import services
from shared.settings import SERVICES

ROOT = Path(__file__).parents[3]


def test_every_service_is_found() -> None:
    assert services.installed() == SERVICES
    assert services.with_migrations() == SERVICES


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("infra.local.launch", ("asyncio", "msgspec", "shared")),
        ("infra.local.zygote", ("asyncio", "faststream", "nats", "shared")),
        ("infra.cli.main", ("faststream", "litestar", "nats", "asyncpg", "httpx2")),
        ("infra.cli.token", ("faststream", "litestar")),
        ("infra.local.platform", ("faststream", "litestar", "httpx2")),
    ],
)
def test_a_module_brings_nothing_heavy(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sorted(set({heavy!r}) & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == []
