"""Arguments that a tool wants repeated in `Mcp-Param-` headers, and how values stand in headers (2026-07-28)."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

ParamHeaders = dict[tuple[str, ...], str]
"""Path of an argument, by property names -> the token of its `Mcp-Param-` header."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")
_SCHEMA_DEPTH_MAX = 16


def param_headers_of(schema: Any) -> ParamHeaders:
    """Read the `x-mcp-header` annotations of an input schema."""
    found: ParamHeaders = {}
    _collect(schema, (), found)
    return found


def rendered_params(headers: ParamHeaders, arguments: Any) -> dict[str, str]:
    """Return the headers that a call with these arguments has, by lower-case name."""
    values = {f"mcp-param-{token}".lower(): _rendered(_at(arguments, path)) for path, token in headers.items()}
    return {name: encode_value(value) for name, value in values.items() if value is not None}


def param_mismatch(headers: ParamHeaders, arguments: Any, received: Mapping[str, str]) -> str | None:
    """Name the header that does not say what the arguments say, if there is one. `received`: by lower-case name."""
    for path, token in headers.items():
        name = f"mcp-param-{token}".lower()
        given = received.get(name)
        if _rendered(_at(arguments, path)) != (None if given is None else decode_value(given)):
            return f"Mcp-Param-{token}"
    return None


def encode_value(value: str) -> str:
    """Return the value as it can stand in a header; what would not survive there goes as `=?base64?…?=`."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decode_value(value: str) -> str | None:
    """Return what `encode_value` was given; None for an encoding that it does not make."""
    encoded = _ENCODED.fullmatch(value)
    if encoded is None:
        return value
    try:
        raw = base64.b64decode(encoded[1], validate=True)
        text = raw.decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if base64.b64encode(raw).decode() == encoded[1] else None


def _collect(schema: Any, path: tuple[str, ...], headers: ParamHeaders) -> None:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(path) >= _SCHEMA_DEPTH_MAX:
        return
    for name, field in properties.items():
        token = field.get("x-mcp-header") if isinstance(field, dict) else None
        # Fractions are not mirrored: their text is not the same in every language.
        if isinstance(token, str) and _TOKEN.fullmatch(token) and field.get("type") in {"string", "integer", "boolean"}:
            headers[*path, name] = token
        _collect(field, (*path, name), headers)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _rendered(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
