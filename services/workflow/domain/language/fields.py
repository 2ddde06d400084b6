"""The field types that steps, triggers and the definition share, with bounds that the published schema has too."""

from typing import Annotated

from msgspec import Meta

from services.workflow import limits

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
SEMANTIC_VERSION = (
    r"^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(-[0-9A-Za-z.-]{1,64})?(\+[0-9A-Za-z.-]{1,64})?$"
)
SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"

# Patterns of names are checked by `validation`, whose sentences say more than a pattern does.
StepName = Annotated[
    str,
    Meta(min_length=1, max_length=limits.MAX_STEP_NAME_CHARS, extra_json_schema={"pattern": IDENTIFIER}),
]
Title = Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME_CHARS)]
Slug = Annotated[str, Meta(min_length=1, max_length=limits.MAX_NAME_CHARS, extra_json_schema={"pattern": SLUG})]
Version = Annotated[str, Meta(extra_json_schema={"pattern": SEMANTIC_VERSION})]
Text = Annotated[str, Meta(max_length=limits.MAX_TEXT_CHARS)]
Expression = Annotated[str, Meta(min_length=1, max_length=limits.MAX_EXPRESSION_CHARS)]
RetentionDays = Annotated[int, Meta(ge=limits.MIN_RETENTION_DAYS, le=limits.MAX_RETENTION_DAYS)]
TimeoutSeconds = Annotated[float, Meta(gt=0, le=limits.MAX_TIMEOUT_SECONDS)]
RetryCount = Annotated[int, Meta(ge=0, le=limits.MAX_RETRIES)]
Priority = Annotated[int, Meta(ge=1, le=10)]
Mapping = Annotated[dict[str, Expression], Meta(max_length=limits.MAX_MAPPED_FIELDS)]
