"""The JSON Schema of an execution's input: compiled once, without network, within bounds on patterns and on work."""

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import msgspec

from services.workflow.domain.language.bounds import depth_of, json_fault
from services.workflow.domain.language.errors import InputInvalid, fault
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.schema_work import SchemaInvalid, schema_work
from services.workflow.limits import (
    MAX_EXPLAINED_WORK,
    MAX_INPUT_BYTES,
    MAX_INPUT_DEPTH,
    MAX_REPORTED_FAULTS,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_PATTERN_PROGRAM_BYTES,
    MAX_VALIDATION_WORK,
)
from shared.errors import FieldFault

ValidateInput = Callable[[Any], None]

_DIALECTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
    }
)


def compile_schema(schema: dict[str, Any]) -> ValidateInput:
    """Return the check of an input, which raises `InputInvalid` with its faults. Raises `SchemaInvalid`.

    For small inputs all faults are found; for large ones the first, since explaining costs far more than checking.
    """
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        raise SchemaInvalid(f"larger than {MAX_SCHEMA_BYTES:,} bytes")
    dialect = schema.get("$schema")
    if dialect is not None and str(dialect).rstrip("#") not in _DIALECTS:
        raise SchemaInvalid(f"the dialect {dialect!r} is not supported; there are {', '.join(sorted(_DIALECTS))}")
    work = schema_work(schema)
    validator = _validator(schema)

    def validate(value: Any) -> None:
        # The validator recurses in native code without a bound of its own: a deep value would end the process.
        if wrong := json_fault(value, max_depth=MAX_INPUT_DEPTH, max_size=MAX_INPUT_BYTES):
            raise InputInvalid([wrong])
        units = work.units(len(msgspec.json.encode(value)), depth_of(value))
        if units > MAX_VALIDATION_WORK:
            raise InputInvalid([fault("", "too large or too deep for the input_schema, which is complex", "too_large")])
        if not validator.is_valid(value):
            raise InputInvalid(_faults(validator, value, every=units <= MAX_EXPLAINED_WORK))

    return validate


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    options = jsonschema_rs.RegexOptions(size_limit=MAX_SCHEMA_PATTERN_PROGRAM_BYTES)
    try:
        return jsonschema_rs.validator_for(schema, offline=True, validate_formats=True, pattern_options=options)
    except jsonschema_rs.ValidationError as error:
        where = join_path("", *error.instance_path)
        raise SchemaInvalid(f"{where}: {error.message}" if where else error.message) from None
    except ValueError as error:  # the library's own bound on how deep a schema is
        raise SchemaInvalid(str(error)) from None


def _faults(validator: jsonschema_rs.Validator, value: Any, *, every: bool) -> list[FieldFault]:
    if every:
        errors = list(validator.iter_errors(value))[:MAX_REPORTED_FAULTS]
    else:
        try:
            validator.validate(value)
            errors = []
        except jsonschema_rs.ValidationError as error:
            errors = [error]
    return [fault(join_path("", *error.instance_path), error.message, _keyword(error)) for error in errors]


def _keyword(error: jsonschema_rs.ValidationError) -> str:
    """Return the schema keyword that refused, such as `required`: the fault's code."""
    return next((part for part in reversed(error.schema_path) if isinstance(part, str)), "invalid")
