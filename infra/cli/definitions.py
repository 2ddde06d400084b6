"""Definition files: JSON or YAML."""

from pathlib import Path
from typing import Any

import msgspec

from infra.cli.errors import BadFile
from infra.cli.limits import DEFINITION_MAX_BYTES
from shared.errors import InvalidInput
from shared.unique_keys import check_unique_keys
from shared.yaml_json import load_yaml


def read_definition(file: Path) -> dict[str, Any]:
    """Return the object in a `.json`, `.yaml` or `.yml` file; what it means is for the workflow service to judge."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadFile(f"{file} cannot be read: {error.strerror}.") from error
    if len(raw) > DEFINITION_MAX_BYTES:
        raise BadFile(f"{file} is larger than {DEFINITION_MAX_BYTES:,} bytes.")
    try:
        value = _json(raw) if file.suffix == ".json" else load_yaml(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFile(f"{file} is no JSON: {error}") from error
    except InvalidInput as error:
        raise BadFile(f"{file}: {error.message}", faults=error.faults) from error
    if not isinstance(value, dict):
        raise BadFile(f"{file} holds no object.")
    return value


def _json(raw: bytes) -> Any:
    value = msgspec.json.decode(raw)
    check_unique_keys(raw)
    return value
