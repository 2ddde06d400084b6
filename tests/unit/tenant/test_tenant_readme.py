"""The service's README names files and settings that exist, and every setting."""

import re
from pathlib import Path

from services.tenant.config import TenantSettings

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / "services" / "tenant"
README = (HOME / "README.md").read_text()


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"`([\w/-]+(?:\.(?:py|sql|md)|/))`", README))
    assert len(named) > 20
    assert not [name for name in named if not (HOME / name).exists() and not (ROOT / name).exists()]


def test_it_names_each_setting() -> None:
    own = {f"AGENTIC_{name.upper()}" for name in TenantSettings.__struct_fields__ if name.startswith("tenant_")}
    assert set(re.findall(r"AGENTIC_\w+", README)) == own
