"""Everything that keeps a server from being registered here, at once."""

from services.mcp_gateway.app.ports import LaunchRules
from services.mcp_gateway.domain.server import ServerDefinition
from services.mcp_gateway.domain.server_rules import check_definition
from services.mcp_gateway.errors import CommandNotAllowed
from shared.errors import FieldFault, Unprocessable


def refusals(definition: ServerDefinition, rules: LaunchRules) -> list[FieldFault]:
    """Return the faults of a definition, and why this deployment would not start it."""
    faults: list[FieldFault] = []
    try:
        check_definition(definition)
    except Unprocessable as error:
        faults += error.faults
    try:
        rules.check(definition)
    except CommandNotAllowed as error:
        faults.append(FieldFault("command", error.message, error.code))
    except Unprocessable as error:
        faults += error.faults
    return faults
