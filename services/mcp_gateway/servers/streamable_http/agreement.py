"""From 2026-07-28 on the headers repeat what the body says, for whoever routes by them: both must agree."""

import base64
import binascii
from http import HTTPStatus

from msgspec import UNSET

from services.mcp_gateway.servers.streamable_http.refusals import HttpRefused
from services.mcp_gateway.servers.wire import HEADER_MISMATCH, Message, Params, RpcFault

_OPENING, _CLOSING = "=?base64?", "?="


def check_media_types(headers: dict[str, str]) -> None:
    """Raise `HttpRefused` for a body that is not plain JSON, or a client that does not take JSON."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json, not compressed.")
    accepted = {part.partition(";")[0].strip().lower() for part in headers.get("accept", "*/*").split(",")}
    if not accepted & {"application/json", "application/*", "*/*"}:
        raise HttpRefused(HTTPStatus.NOT_ACCEPTABLE, "Answers are application/json.")


def check_agreement(headers: dict[str, str], message: Message) -> None:
    """Raise `RpcFault` where the headers of a request and its body differ.

    A body without the envelope of 2026-07-28 is left to the dispatch, which says what it lacks.
    """
    params = message.params if message.params is not UNSET else Params()
    if params.meta is UNSET or params.meta.protocol_version is UNSET:
        return
    if headers.get("mcp-protocol-version") != params.meta.protocol_version:
        raise _differs("MCP-Protocol-Version")
    if headers.get("mcp-method") != message.method:
        raise _differs("Mcp-Method")
    if message.method == "tools/call" and params.name is not UNSET and _decoded(headers.get("mcp-name")) != params.name:
        raise _differs("Mcp-Name")


def _differs(header: str) -> RpcFault:
    return RpcFault(HEADER_MISMATCH, f"The header {header} does not say what the body says")


def _decoded(value: str | None) -> str | None:
    """Return the text of a header's value; one that could not stand in a header comes as `=?base64?…?=`."""
    if value is None or not (value.startswith(_OPENING) and value.endswith(_CLOSING)):
        return value
    try:
        return base64.b64decode(value[len(_OPENING) : -len(_CLOSING)], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
