"""A tool is a typed function with a docstring: its name, description, schemas and validation are read from it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from services.mcp_gateway.limits import FAULT_MESSAGE_MAX_CHARS, NUMBER_CHARS_MAX

Number = int | Decimal
"""A JSON number, exactly as written: `2` is an int, `2.0` and `2e3` are Decimals. No booleans, no text."""

_NUMBER_STARTS = frozenset(b"-0123456789")


class ToolRefused(Exception):
    """A tool says no. `code` is stable and snake_case; the message is for the model or person that called."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ToolOutput(msgspec.Struct, frozen=True):
    """A result whose text and structured form differ by more than JSON encoding."""

    structured: dict[str, Any]
    text: str


class ToolHints(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The `annotations` of a tool. Hints: no client may rely on them for safety."""

    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None


class Tool:
    """One declared tool. `inline` tools run on the reader's own thread: only for work of bounded microseconds."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        hints: ToolHints | None,
        output_schema: dict[str, Any] | None,
        inline: bool,
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.description = inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        if not self.description:
            raise TypeError(f"the tool {self.name!r} needs a docstring: it is what a model chooses by")
        self.inline = inline
        self.is_async = inspect.iscoroutinefunction(function)
        self._numbers: tuple[str, ...] = ()
        self._arguments, self.input_schema = self._read_signature()
        if b'"x-mcp-header"' in msgspec.json.encode(self.input_schema):
            raise TypeError(f"the tool {self.name!r} wants arguments in headers too, which nothing here would check")
        self._decoder = msgspec.json.Decoder(self._arguments)
        self.output_schema = self._output_schema() if output_schema is None else output_schema
        self.hints = hints

    def definition(self) -> dict[str, Any]:
        """The tool as `tools/list` shows it."""
        shown: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.input_schema,
        }
        if self.output_schema is not None:
            shown["outputSchema"] = self.output_schema
        if self.hints is not None:
            shown["annotations"] = msgspec.to_builtins(self.hints)
        return shown

    def arguments(self, raw: msgspec.Raw | None) -> dict[str, Any]:
        """Decode and validate a call's arguments. Raises `ToolRefused` (`arguments_invalid`)."""
        try:
            decoded = self._decoder.decode(raw if raw is not None else b"{}")
            values = {name: getattr(decoded, name) for name in decoded.__struct_fields__}
            for name in self._numbers:
                if isinstance(values[name], msgspec.Raw):
                    values[name] = _exact_number(name, values[name])
        except (ValueError, RecursionError) as error:
            message = (
                str(error)
                .replace("`$.", "`")
                .replace("Object missing", "The call lacks the")
                .replace("Object ", "The call ")[:FAULT_MESSAGE_MAX_CHARS]
            )
            raise ToolRefused("arguments_invalid", message) from error
        return values

    def call(self, arguments: Mapping[str, Any]) -> Any | Awaitable[Any]:
        return self.function(**arguments)

    def _output_schema(self) -> dict[str, Any] | None:
        returned = get_type_hints(self.function).get("return")
        if returned is ToolOutput or not (isinstance(returned, type) and issubclass(returned, msgspec.Struct)):
            return None
        return schema_of(returned)

    def _read_signature(self) -> tuple[type[msgspec.Struct], dict[str, Any]]:
        hints = get_type_hints(self.function, include_extras=True)
        fields: list[Any] = []
        numbers: list[str] = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            annotation = hints[name]
            if _is_number(annotation):
                # msgspec would read text into a Decimal too; a Raw field keeps the literal for a strict look.
                annotation = _as_raw(annotation)
                numbers.append(name)
            if parameter.default is inspect.Parameter.empty:
                fields.append((name, annotation))
            else:
                fields.append((name, annotation, parameter.default))
        self._numbers = tuple(numbers)
        struct = msgspec.defstruct(f"{self.name}_arguments", fields, forbid_unknown_fields=True, kw_only=True)
        return struct, schema_of(struct)


def schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of a struct, whole in itself."""
    (schema,), components = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    own: dict[str, Any] = components.pop(schema["$ref"].rpartition("/")[2])
    own.pop("title", None)
    if components:
        own["$defs"] = components
    return own


def _is_number(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_origin(annotation) in {Union, UnionType} and {*get_args(annotation)} == {int, Decimal}


def _as_raw(annotation: Any) -> Any:
    said = [note for note in getattr(annotation, "__metadata__", ()) if isinstance(note, msgspec.Meta)]
    description = said[0].description if said else None
    return Annotated[msgspec.Raw, msgspec.Meta(description=description, extra_json_schema={"type": "number"})]


def _exact_number(name: str, raw: msgspec.Raw) -> Number:
    literal = bytes(raw).strip()
    if literal[0] not in _NUMBER_STARTS:
        found = {b'"': "text", b"[": "an array", b"{": "an object", b"n": "null"}.get(literal[:1], "a boolean")
        raise ToolRefused("arguments_invalid", f"Expected a number, got {found} - at `{name}`")
    if len(literal) > NUMBER_CHARS_MAX:
        raise ToolRefused("number_too_large", f"`{name}` has more than {NUMBER_CHARS_MAX} characters.")
    return (
        msgspec.json.decode(literal) if literal.lstrip(b"-").isdigit() else msgspec.json.decode(literal, type=Decimal)
    )
