"""`/api/v1/workflows/hooks/{token}`: where others call, and the routes that show whom to tell what."""

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from msgspec import Meta

from services.workflow.app.hooks import Hooks
from services.workflow.app.webhooks import Webhook, Webhooks
from services.workflow.entry.bodies import json_object
from services.workflow.entry.messages import StartExecution
from services.workflow.limits import MAX_PREVIOUS_KEY_SECONDS, MAX_WEBHOOK_BODY_BYTES
from services.workflow.metrics import TriggerMetrics
from shared.auth.scopes import WORKFLOWS_WRITE
from shared.errors import InvalidInput, PlatformError
from shared.http.positions import EVENT_POSITION
from shared.scope import TenantScope

_HOOKS = "/api/v1/workflows/hooks"
_WORKFLOWS = "/api/v1/workflows/workflows"
_OF_WORKFLOW = _WORKFLOWS + "/{workflow_id:uuid}/webhooks"
_TAGS = ["webhooks"]
_PRIVATE = {"Cache-Control": "no-store"}


class WebhookParts(msgspec.Struct, frozen=True):
    """What these routes need."""

    webhooks: Webhooks
    hooks: Hooks
    metrics: TriggerMetrics


class WebhookView(msgspec.Struct):
    """A webhook. Requests to `url` are signed with `signing_secret` as Standard Webhooks has it."""

    name: str
    url: str
    token: str
    signing_secret: str
    created_at: dt.datetime
    rotated_at: dt.datetime | None
    previous_valid_until: dt.datetime | None


class WebhookList(msgspec.Struct):
    """Every webhook of a workflow, by name."""

    webhooks: list[WebhookView]
    total: int


class RotateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """For how many seconds the key that is replaced stays good; 0, the default: it is refused at once."""

    previous_valid_seconds: Annotated[int, Meta(ge=0, le=MAX_PREVIOUS_KEY_SECONDS)] = 0


class Delivered(msgspec.Struct):
    """What became of a request: `execution_id` is none if the trigger's condition did not hold (`skipped`)."""

    execution_id: UUID | None
    status: str


def _parts(state: State) -> WebhookParts:
    parts: WebhookParts = state.webhook_parts
    return parts


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _view(request: Request[Any, Any, Any], webhook: Webhook) -> WebhookView:
    row = webhook.row
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    until = row.previous_until if row.previous_until is not None and row.previous_until > _now() else None
    return WebhookView(
        name=row.name,
        url=f"{scheme}://{request.url.netloc}{_HOOKS}/{webhook.token}",
        token=webhook.token,
        signing_secret=webhook.secret,
        created_at=row.created_at,
        rotated_at=row.rotated_at,
        previous_valid_until=until,
    )


@get(_OF_WORKFLOW, opt={"scope": WORKFLOWS_WRITE}, summary="Its webhooks", tags=_TAGS)
async def list_webhooks(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID
) -> Response[WebhookList]:
    """Return the webhooks of a workflow with their addresses and keys."""
    webhooks = _parts(state).webhooks
    found = [_view(request, webhook) for webhook in await webhooks.of(caller, workflow_id)]
    return Response(WebhookList(found, len(found)), headers=_PRIVATE)


@post(
    _OF_WORKFLOW + "/{name:str}/rotate", opt={"scope": WORKFLOWS_WRITE}, summary="A new key", tags=_TAGS,
    status_code=200,
)  # fmt: skip
async def rotate_webhook(
    request: Request[Any, Any, Any], caller: TenantScope, state: State, workflow_id: UUID, name: str
) -> Response[WebhookView]:
    """Give a webhook a new signing key; its address stays. A repeat makes another one: read which is the latest."""
    webhooks = _parts(state).webhooks
    raw = await request.body()
    try:
        wanted = msgspec.convert(json_object(raw), RotateRequest) if raw else RotateRequest()
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{error}.") from error
    previous_for = dt.timedelta(seconds=wanted.previous_valid_seconds)
    webhook, position = await webhooks.rotate(caller, workflow_id, name, previous_for, _now())
    return Response(_view(request, webhook), headers={**_PRIVATE, EVENT_POSITION: str(position)})


@post(
    _HOOKS + "/{token:str}", opt={"public": True}, summary="Call a webhook", tags=_TAGS, status_code=202,
    request_max_body_size=MAX_WEBHOOK_BODY_BYTES, security=[{}],
)  # fmt: skip
async def call_webhook(request: Request[Any, Any, Any], state: State, token: str) -> Response[Delivered]:
    """Start the webhook's workflow. No credential but the signature; the body is JSON.

    Answers 202 with the execution once its start is durable, and the same for the same `webhook-id` again; 200 if the
    trigger's condition does not hold.
    """
    metrics = _parts(state).metrics
    try:
        answer = await _call(request, state, token)
    except PlatformError as error:
        metrics.webhook_requests.labels(error.code).inc()
        raise
    metrics.webhook_requests.labels("accepted" if answer.content.execution_id else "condition_false").inc()
    return answer


async def _call(request: Request[Any, Any, Any], state: State, token: str) -> Response[Delivered]:
    hooks = _parts(state).hooks
    to = await hooks.address(token)  # before the body is read: what nobody asked for is not waited for
    headers = {name.lower(): value for name, value in request.headers.items()}
    delivery = await hooks.receive(to, headers, await request.body(), _now())
    if delivery is None:
        return Response(Delivered(None, "skipped"), status_code=200)
    answer = await state.sender.start(
        StartExecution(
            delivery.execution_id,
            delivery.tenant_id,
            str(delivery.workflow_id),
            delivery.input,
            delivery.context,
            delivery.revision,
            "webhook",
            delivery.actor,
            request.state.traceparent,
        )
    )
    sent = {"Location": f"{_WORKFLOWS}/executions/{delivery.execution_id}"}
    if answer.position:
        sent[EVENT_POSITION] = str(answer.position)
    return Response(Delivered(delivery.execution_id, answer.status or "running"), status_code=202, headers=sent)


HANDLERS: list[Any] = [list_webhooks, rotate_webhook, call_webhook]
