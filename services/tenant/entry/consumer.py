"""NATS: verification for the other services, tokens for the operator, admission of tenants' connections."""

import logging

import msgspec
from faststream.nats import NatsBroker, NatsMessage

from services.tenant.app.connections import Connections
from services.tenant.app.operator import OperatorTokens
from services.tenant.app.ports import Directory
from services.tenant.app.secrets import SecretReads
from services.tenant.entry.nats_callout import UserIssuer, read_question
from shared.auth.limits import REVOKED_MAX, REVOKED_S
from shared.auth.operator import ISSUE_TOKEN_SUBJECT, IssueToken
from shared.auth.remote import JWKS_SUBJECT, VERIFY_KEY_SUBJECT, JwksAnswer, KeyAnswer
from shared.auth.revocations import REVOCATIONS_SUBJECT, Revocations
from shared.auth.verifier import Authority
from shared.bus.broker import whole_message
from shared.errors import InvalidInput, PlatformError, Unauthenticated
from shared.secrets.questions import RESOLVE_SUBJECT, Answer, Question, seal
from shared.secrets.questions import Refusal as SecretsRefused

CALLOUT_SUBJECT = "$SYS.REQ.USER.AUTH"
_QUEUE = "tenant"

_log = logging.getLogger(__name__)


class Reason(msgspec.Struct):
    """Why a command was refused."""

    code: str
    message: str


class Refusal(msgspec.Struct):
    """Answer to a command that was refused."""

    error: Reason


def answer_queries(broker: NatsBroker, authority: Authority, directory: Directory) -> None:
    """Answer `queries.tenant.{jwks, verify-api-key, revocations}`; replicas share the questions."""

    async def on_jwks(_: NatsMessage) -> bytes:
        return msgspec.json.encode(JwksAnswer(await authority.jwks()))

    async def on_key(message: NatsMessage) -> bytes:
        try:
            verified = await authority.verify_api_key(message.raw_message.data.decode(errors="replace"))
        except Unauthenticated:
            return msgspec.json.encode(KeyAnswer())
        return msgspec.json.encode(KeyAnswer(verified))

    async def on_revocations(_: NatsMessage) -> bytes:
        return msgspec.json.encode(Revocations(await directory.revoked(REVOKED_S, REVOKED_MAX)))

    broker.subscriber(JWKS_SUBJECT, queue=_QUEUE, decoder=whole_message)(on_jwks)
    broker.subscriber(VERIFY_KEY_SUBJECT, queue=_QUEUE, decoder=whole_message)(on_key)
    broker.subscriber(REVOCATIONS_SUBJECT, queue=_QUEUE, decoder=whole_message)(on_revocations)


def answer_secrets(broker: NatsBroker, reads: SecretReads) -> None:
    """Answer `queries.tenant.secrets.resolve`, sealed for who asks."""

    async def on_question(message: NatsMessage) -> bytes:
        try:
            question = msgspec.json.decode(message.raw_message.data, type=Question)
            answer = Answer(seal(question, await reads.values(question)))
        except msgspec.MsgspecError as error:
            answer = Answer(error=SecretsRefused(InvalidInput.code, str(error)))
        except PlatformError as error:
            _log.warning("a question for secrets was refused: %s", error.message)
            answer = Answer(error=SecretsRefused(error.code, error.message))
        return msgspec.json.encode(answer)

    broker.subscriber(RESOLVE_SUBJECT, queue=_QUEUE, decoder=whole_message)(on_question)


def issue_tokens(broker: NatsBroker, tokens: OperatorTokens) -> None:
    """Answer `commands.tenant.issue-token`, which only the operator can sign."""

    async def on_command(message: NatsMessage) -> bytes:
        try:
            command = msgspec.json.decode(message.raw_message.data, type=IssueToken)
            return msgspec.json.encode(await tokens.issue(command))
        except msgspec.MsgspecError as error:
            return msgspec.json.encode(Refusal(Reason(InvalidInput.code, str(error))))
        except PlatformError as error:
            return msgspec.json.encode(Refusal(Reason(error.code, error.message)))

    broker.subscriber(ISSUE_TOKEN_SUBJECT, queue=_QUEUE, decoder=whole_message)(on_command)


def admit_connections(broker: NatsBroker, connections: Connections, issuer: UserIssuer) -> None:
    """Answer the NATS server's questions about who has no nkey."""

    async def on_question(message: NatsMessage) -> bytes:
        question = read_question(message.raw_message.data)
        try:
            return issuer.admit(question, await connections.admit(question.token))
        except PlatformError as error:
            _log.info("a connection to NATS was refused: %s", error.message)
            return issuer.refuse(question, error.code)

    broker.subscriber(CALLOUT_SUBJECT, queue=_QUEUE, decoder=whole_message)(on_question)
