"""How many workflow processes a platform is started with."""

import pytest

from infra.local.errors import BadEnvironment
from infra.local.options import Options
from infra.local.service import environment

VARIABLE = "AGENTIC_WORKFLOW_PROCESSES"


def test_one_unless_it_is_said() -> None:
    assert Options.from_environment({}).workflow_processes == 1
    assert Options.from_environment({VARIABLE: ""}).workflow_processes == 1
    assert Options.from_environment({VARIABLE: "4"}).workflow_processes == 4


@pytest.mark.parametrize("text", ["0", "17", "-1", "two", "1.5", "²"])
def test_what_cannot_be_is_named(text: str) -> None:
    with pytest.raises(BadEnvironment, match=VARIABLE):
        Options.from_environment({VARIABLE: text})


def test_the_service_itself_does_not_see_it() -> None:
    seen = environment({VARIABLE: "4", "AGENTIC_LOG_LEVEL": "info"}, {}, name="workflow", others=("tenant", "workflow"))
    assert seen == {"AGENTIC_LOG_LEVEL": "info"}
