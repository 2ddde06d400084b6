"""The `AGENTIC_*` variables: which ones the services know."""

import difflib
from collections.abc import Iterator, Mapping

from shared.settings import PREFIX, SERVICES, Settings

# What only the command line reads: a service would refuse them as no setting of its own.
OWN_VARIABLES = frozenset({"AGENTIC_URL", "AGENTIC_TOKEN"})


def for_services(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what services may inherit."""
    return {name: value for name, value in environment.items() if name not in OWN_VARIABLES}


def unknown(environment: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """Yield each variable that would keep every service from starting, and the known one that is nearest if any.

    Those of one service (`AGENTIC_TENANT_…`) are for it to judge.
    """
    known = {*OWN_VARIABLES, *(PREFIX + field.upper() for field in Settings.__struct_fields__)}
    of_services = tuple(f"{PREFIX}{service.upper()}_" for service in SERVICES)
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable not in known and not variable.startswith(of_services):
            near = difflib.get_close_matches(variable, known, n=1)
            yield variable, near[0] if near else None
