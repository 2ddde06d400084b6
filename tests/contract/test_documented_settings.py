"""Every variable that the platform or one of its services reads stands in a README or a guide."""

import importlib
from pathlib import Path

import pytest

from infra import services
from infra.cli.environment import OWN_VARIABLES
from infra.local.options import WORKFLOW_PROCESSES
from shared.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PLATFORM = {*OWN_VARIABLES, WORKFLOW_PROCESSES, *(PREFIX + name.upper() for name in Settings.__struct_fields__)}


def own_variables() -> set[tuple[str, str]]:
    found = set()
    for service in services.installed():
        config = importlib.import_module(f"services.{service}.config")
        for struct in vars(config).values():
            if isinstance(struct, type) and issubclass(struct, Settings) and struct is not Settings:
                own = set(struct.__struct_fields__) - set(Settings.__struct_fields__)
                found |= {(service, PREFIX + name.upper()) for name in own}
    return found


@pytest.mark.parametrize("variable", sorted(PLATFORM))
def test_a_variable_of_the_platform_is_in_its_table(variable: str) -> None:
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert any(f"`{variable}`" in row for row in rows)


@pytest.mark.parametrize(("service", "variable"), sorted(own_variables()))
def test_a_variable_of_a_service_is_documented(service: str, variable: str) -> None:
    texts = [ROOT / "README.md", ROOT / "services" / service / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(f"`{variable}`" in text.read_text() for text in texts)


def test_the_variables_are_found() -> None:
    assert {("workflow", "AGENTIC_WORKFLOW_RETENTION_DAYS"), ("tenant", "AGENTIC_TENANT_DEMO")} <= own_variables()
