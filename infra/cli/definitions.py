"""Definition files: JSON or YAML."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from infra.cli.errors import BadFile
from infra.cli.limits import DEFINITION_MAX_BYTES


def read_definition(file: Path) -> dict[str, Any]:
    """Return the object in a `.json`, `.yaml` or `.yml` file; what it means is for the workflow service to judge."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadFile(f"{file} cannot be read: {error.strerror}.") from error
    if len(raw) > DEFINITION_MAX_BYTES:
        raise BadFile(f"{file} is larger than {DEFINITION_MAX_BYTES:,} bytes.")
    try:
        value = msgspec.json.decode(raw) if file.suffix == ".json" else yaml.safe_load(raw)
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadFile(f"{file} is no {'JSON' if file.suffix == '.json' else 'YAML'}: {error}") from error
    if not isinstance(value, dict):
        raise BadFile(f"{file} holds no object.")
    return value
