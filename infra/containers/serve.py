"""One service in its container: `python -m infra.containers.serve <service>`, with the environment prepared for it."""

import importlib
import json
import os
import sys
from pathlib import Path

from infra import services


def main() -> None:
    """Become the service; what the container's own environment says wins over what was prepared."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in services.installed():
        sys.exit(f"Name one of the services: {', '.join(services.installed())}.")
    prepared = Path(os.environ.pop("AGENTIC_KEYS", "/keys")) / name / "environment.json"
    for variable, value in json.loads(prepared.read_text()).items():
        os.environ.setdefault(variable, value)
    importlib.import_module(f"services.{name}.__main__").main()


if __name__ == "__main__":
    main()
