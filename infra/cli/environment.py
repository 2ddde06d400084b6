"""The `AGENTIC_*` variables: which ones the services know."""

import difflib
from collections.abc import Iterator, Mapping

from infra.cli.finding import Finding
from shared.settings import PREFIX, SERVICES, Settings

# What only the command line reads: a service would refuse them as no setting of its own.
OWN_VARIABLES = frozenset({"AGENTIC_URL", "AGENTIC_TOKEN"})


def for_services(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what services may inherit."""
    return {name: value for name, value in environment.items() if name not in OWN_VARIABLES}


def variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with the variables: any that is unknown would keep every service from starting.

    Those of one service (`AGENTIC_TENANT_…`) are for it to judge.
    """
    known = {*OWN_VARIABLES, *(PREFIX + field.upper() for field in Settings.__struct_fields__)}
    of_services = tuple(f"{PREFIX}{service.upper()}_" for service in SERVICES)
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable not in known and not variable.startswith(of_services):
            near = difflib.get_close_matches(variable, known, n=1)
            remedy = f"Unset it, or did you mean {near[0]}?" if near else "Unset it."
            yield Finding("environment", "wrong", f"{variable} is no setting: no service starts with it", remedy)
