"""The agent service's HTTP API: health, metrics and version."""

from litestar import Litestar

from services.agent.errors import STATUSES
from shared.http.app import make_app
from shared.http.problems import register_statuses
from shared.runtime import Runtime


def make_api(rt: Runtime) -> Litestar:
    """Return the application."""
    register_statuses(STATUSES)
    return make_app(
        rt.service,
        "Agents",
        [],
        verifier=rt.verifier,
        registry=rt.registry,
        readiness=rt.readiness,
        state={},
    )
