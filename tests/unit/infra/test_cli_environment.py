"""Which `AGENTIC_*` variables nobody knows."""

import pytest

from infra.cli.environment import for_services, variables


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("AGENTIC_LOGLEVEL", "AGENTIC_LOG_LEVEL"),
        ("AGENTIC_HTTP_PROT", "AGENTIC_HTTP_PORT"),
        ("AGENTIC_" + "X" * 20, None),
    ],
)
def test_a_variable_that_nobody_knows_is_named_with_the_nearest(variable: str, near: str | None) -> None:
    (finding,) = variables({variable: "x", "PATH": "/bin"})
    assert finding.state == "wrong"
    assert variable in finding.detail
    assert (f"did you mean {near}?" in finding.remedy) == (near is not None)


def test_known_ones_and_those_of_one_service_pass() -> None:
    names = ("AGENTIC_DATA_DIR", "AGENTIC_URL", "AGENTIC_TOKEN", "AGENTIC_TENANT_DEMO", "AGENTIC_RAG_ANYTHING", "HOME")
    assert not list(variables(dict.fromkeys(names, "x")))


def test_what_is_for_the_command_line_only_does_not_reach_services() -> None:
    assert for_services({"AGENTIC_URL": "x", "AGENTIC_TOKEN": "y", "AGENTIC_LOG_LEVEL": "debug"}) == {
        "AGENTIC_LOG_LEVEL": "debug"
    }
