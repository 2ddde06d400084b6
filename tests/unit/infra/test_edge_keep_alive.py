"""Who sends on idle connections must be the one who closes them."""

import re
from pathlib import Path

from shared.limits import HTTP_KEEP_ALIVE_S

CADDYFILE = Path(__file__).parents[3] / "infra" / "edge" / "Caddyfile"


def test_the_edge_lets_go_of_an_idle_connection_before_a_service_closes_it() -> None:
    (minutes,) = re.findall(r"^\s*keepalive (\d+)m$", CADDYFILE.read_text(), re.MULTILINE)
    assert int(minutes) * 60 < HTTP_KEEP_ALIVE_S
