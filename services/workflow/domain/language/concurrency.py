"""Concurrency keys: how many executions of a workflow run at once for the same key, and what the next one does."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from services.workflow import limits
from services.workflow.domain.language.errors import ConcurrencyKeyInvalid, fault
from services.workflow.domain.language.filters import as_text
from services.workflow.domain.language.templates import Template, compile_template
from shared.errors import PlatformError

WhenFull = Literal["queue", "reject", "cancel_oldest"]


class Concurrency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most `limit` executions with the same key run at once; `key` is a template of text.

    When so many run, the next one waits its turn (`queue`), is refused (`reject`), or takes the place of the oldest.
    """

    key: Annotated[str, Meta(min_length=1, max_length=limits.MAX_EXPRESSION_CHARS)]
    limit: Annotated[int, Meta(ge=1, le=limits.MAX_CONCURRENCY)]
    when_full: WhenFull = "queue"


class ConcurrencyRule(msgspec.Struct, frozen=True):
    """A `Concurrency`, compiled."""

    key: Template
    limit: int
    when_full: WhenFull

    def key_for(self, scope: Mapping[str, Any]) -> str:
        """Return the key of an execution that sees `scope`. Raises `ConcurrencyKeyInvalid`."""
        try:
            key = as_text(self.key.render(scope))
        except PlatformError as error:
            raise _invalid(error.message) from error
        if not 0 < len(key) <= limits.MAX_CONCURRENCY_KEY_CHARS:
            raise _invalid(f"it has {len(key):,} characters; 1 to {limits.MAX_CONCURRENCY_KEY_CHARS} are allowed")
        if not _is_storable(key):
            raise _invalid("it has characters that no text can be stored with")
        return key


def compile_concurrency(concurrency: Concurrency) -> ConcurrencyRule:
    """Compile what a definition says. Raises `TemplateInvalid`."""
    key = compile_template(concurrency.key, "concurrency.key")
    return ConcurrencyRule(key, concurrency.limit, concurrency.when_full)


def _is_storable(key: str) -> bool:
    try:
        return b"\0" not in key.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _invalid(why: str) -> ConcurrencyKeyInvalid:
    return ConcurrencyKeyInvalid([fault("concurrency.key", why, ConcurrencyKeyInvalid.code)])
