"""A call's arguments as they are sent: with the values of the secrets that their places name."""

from typing import Any
from uuid import UUID

from services.mcp_gateway.domain.call import CallRequest
from shared.secrets.redaction import Redaction
from shared.secrets.references import filler, names_in, resolve_secrets, texts_at
from shared.secrets.source import SecretSource


async def arguments_of(
    request: CallRequest, tenant_id: UUID, secrets: SecretSource
) -> tuple[dict[str, Any], Redaction]:
    """Return the arguments to send, and what takes the values out of what is said of the call.

    The request, which is recorded, keeps the references. Raises what resolving raises, and `InvalidInput` for places
    that are not there.
    """
    values = await secrets.resolve(tenant_id, names_in(texts_at(request.arguments, request.secret_paths)))
    return resolve_secrets(request.arguments, request.secret_paths, filler(values)), Redaction(values)
