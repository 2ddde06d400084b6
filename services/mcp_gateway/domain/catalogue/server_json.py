"""`server.json`, the form in which MCP servers are published (schema of 2025-12-11), as far as it is decoded.

Field names and meanings are those of the official MCP registry. The `$schema` is kept and not looked at: older files
of the same shape are taken, and what is of another shape is refused by its fields.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from services.mcp_gateway.limits import (
    CATALOGUE_INPUTS_MAX,
    CATALOGUE_NAME_MAX_CHARS,
    CATALOGUE_TEXT_MAX_CHARS,
    CATALOGUE_TITLE_MAX_CHARS,
    CATALOGUE_WAYS_MAX,
    CATALOGUE_WORD_MAX_CHARS,
)

_NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, Meta(max_length=CATALOGUE_TEXT_MAX_CHARS, pattern=_NO_NUL)]
Word = Annotated[str, Meta(min_length=1, max_length=CATALOGUE_WORD_MAX_CHARS, pattern=_NO_NUL)]
Title = Annotated[str, Meta(min_length=1, max_length=CATALOGUE_TITLE_MAX_CHARS, pattern=_NO_NUL)]
VariableName = Annotated[str, Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]{0,127}\Z")]
Few = Meta(max_length=CATALOGUE_INPUTS_MAX)
Ways = Meta(max_length=CATALOGUE_WAYS_MAX)


class Input(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """One value. With `value` it is fixed; without, whoever installs the server gives it, or `default` holds."""

    description: Text | None = None
    is_required: bool = False
    format: Literal["string", "number", "boolean", "filepath"] = "string"
    value: Text | None = None
    is_secret: bool = False
    default: Text | None = None
    placeholder: Text | None = None
    choices: Annotated[tuple[Text, ...], Few] | None = None


class Template(Input, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """An input whose `value` may hold `{name}` for each of `variables`."""

    variables: Annotated[dict[VariableName, Input], Few] = {}


class NamedValue(Template, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A header or an environment variable."""

    name: Word


class PositionalArgument(
    Template, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True,
    tag_field="type", tag="positional",
):  # fmt: skip
    """A word of the command line. `value_hint` is its name for whoever gives it."""

    value_hint: Word | None = None
    is_repeated: bool = False


class NamedArgument(
    Template, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True,
    tag_field="type", tag="named",
):  # fmt: skip
    """An option of the command line; `name` has its dashes."""

    name: Annotated[str, Meta(pattern=r"\A-{0,2}[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
    is_repeated: bool = False


Argument = PositionalArgument | NamedArgument


class Stdio(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="stdio"):
    """The package speaks MCP on its standard streams."""


class _Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    url: Annotated[str, Meta(max_length=CATALOGUE_TEXT_MAX_CHARS, pattern=r"\A(https?://|\{[A-Za-z_])[^\s\x00]*\Z")]
    headers: Annotated[tuple[NamedValue, ...], Few] = ()
    variables: Annotated[dict[VariableName, Input], Few] = {}


class StreamableHttp(_Http, frozen=True, kw_only=True, tag_field="type", tag="streamable-http"):
    """An address that speaks streamable HTTP."""


class Sse(_Http, frozen=True, kw_only=True, tag_field="type", tag="sse"):
    """An address that speaks the HTTP transport of 2024-11-05."""


Remote = StreamableHttp | Sse


class Package(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """A program of a package registry. `identifier` is its name there."""

    registry_type: Word
    identifier: Word
    transport: Stdio | StreamableHttp | Sse
    version: Word | None = None
    registry_base_url: Word | None = None
    runtime_hint: Word | None = None
    runtime_arguments: Annotated[tuple[Argument, ...], Few] = ()
    package_arguments: Annotated[tuple[Argument, ...], Few] = ()
    environment_variables: Annotated[tuple[NamedValue, ...], Few] = ()
    file_sha256: Annotated[str, Meta(pattern=r"\A[a-f0-9]{64}\Z")] | None = None


class Repository(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the source is."""

    url: Word
    source: Word
    id: Word | None = None
    subfolder: Word | None = None


class Icon(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A picture for user interfaces; nothing here fetches it."""

    src: Annotated[str, Meta(max_length=CATALOGUE_WORD_MAX_CHARS, pattern=r"\Ahttps://[^\s\x00]+\Z")]
    mime_type: Literal["image/png", "image/jpeg", "image/jpg", "image/svg+xml", "image/webp"] | None = None
    sizes: Annotated[tuple[Annotated[str, Meta(pattern=r"\A(\d{1,5}x\d{1,5}|any)\Z")], ...], Few] | None = None
    theme: Literal["light", "dark"] | None = None


class ServerJson(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """A published server. `name` is `<reverse DNS>/<name>`; neither part can be `..` or begin with a sign."""

    schema: Word | None = msgspec.field(default=None, name="$schema")
    name: Annotated[
        str,
        Meta(
            min_length=3,
            max_length=CATALOGUE_NAME_MAX_CHARS,
            pattern=r"\A[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z",
        ),
    ]
    description: Title
    title: Title | None = None
    version: Word
    repository: Repository | None = None
    website_url: (
        Annotated[str, Meta(max_length=CATALOGUE_WORD_MAX_CHARS, pattern=r"\Ahttps?://[^\s\x00]+\Z")] | None
    ) = None
    packages: Annotated[tuple[Package, ...], Ways] = ()
    remotes: Annotated[tuple[Remote, ...], Ways] = ()
    icons: Annotated[tuple[Icon, ...], Ways] | None = None
    meta: dict[str, Any] | None = msgspec.field(default=None, name="_meta")
