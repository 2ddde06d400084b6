"""Templates: any JSON value whose strings may hold placeholders. Compiled once, rendered often.

What a placeholder brings in is data: it is never searched for placeholders again.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from services.workflow.domain.language.errors import TemplateInvalid, fault
from services.workflow.domain.language.filters import as_text, bounded
from services.workflow.domain.language.paths import join_path
from services.workflow.domain.language.placeholders import Placeholder, PlaceholderInvalid, parse_text
from services.workflow.domain.language.references import Context, Render, compile_placeholder
from services.workflow.domain.language.secret_text import SECRET_ROOT, SecretPath, guard_secrets
from services.workflow.limits import (
    MAX_RENDERED_CHARS,
    MAX_REPORTED_FAULTS,
    MAX_TEMPLATE_DEPTH,
    MAX_TEMPLATE_PLACEHOLDERS,
)
from shared.errors import FieldFault
from shared.secrets.references import OPENING

# Up to so many placeholders cannot multiply values (each within its own bound) to a size that matters.
_UNMEASURED_PLACEHOLDERS = 16


class Reference(msgspec.Struct, frozen=True):
    """A use of a name: its root (`input`, a step's name), as written, where in the template, and at which offset."""

    root: str
    text: str
    path: str
    position: int


class Template(msgspec.Struct, frozen=True):
    """A compiled template. `render(context)` gives the value; a static template gives the very value, uncopied.

    `secret_paths` are the places of strings that hold `{secret.NAME}`; rendering leaves these as they are.
    """

    render: Render
    references: tuple[Reference, ...]
    secret_references: tuple[Reference, ...]
    secret_paths: tuple[SecretPath, ...]
    is_static: bool
    static_bytes: int = 0
    """The size of a static template's JSON."""


def compile_template(value: Any, path: str = "") -> Template:
    """Compile a JSON value. Raises `TemplateInvalid` with every fault; `path` is put before the faults' paths."""
    template, faults = examine_template(value, path)
    if faults:
        raise TemplateInvalid(faults)
    return template


def examine_template(value: Any, path: str = "") -> tuple[Template, list[FieldFault]]:
    """Compile a JSON value as far as that goes: strings with faults are left as they are, and the rest is known."""
    compiler = _Compiler(path)
    static, render = compiler.value(value, ())
    is_static = render is None
    if render is None:
        render = _constant(static)
    elif len(compiler.references) > _UNMEASURED_PLACEHOLDERS:
        render = _measured(render)
    template = Template(
        render=render,
        references=tuple(compiler.references),
        secret_references=tuple(compiler.secrets),
        secret_paths=tuple(compiler.secret_paths),
        is_static=is_static,
        static_bytes=len(msgspec.json.encode(static)) if is_static and not compiler.faults else 0,
    )
    return template, compiler.faults


class _Compiler:
    """One pass over a value: closures for what changes, and what was seen on the way.

    Each method returns (value, None) for what is static and (None, closure) for what is not.
    """

    def __init__(self, path: str) -> None:
        self.base = path
        self.faults: list[FieldFault] = []
        self.references: list[Reference] = []
        self.secrets: list[Reference] = []
        self.secret_paths: list[SecretPath] = []

    def value(self, value: Any, path: SecretPath) -> tuple[Any, Render | None]:
        if isinstance(value, str):
            return self.text(value, path)
        if isinstance(value, dict | list):
            if len(path) >= MAX_TEMPLATE_DEPTH:
                self._fault(path, f"a template is nested at most {MAX_TEMPLATE_DEPTH} deep", 0, "nesting_too_deep")
                return value, None
            return self.object(value, path) if isinstance(value, dict) else self.array(value, path)
        return value, None

    def object(self, value: dict[str, Any], path: SecretPath) -> tuple[Any, Render | None]:
        # Members that change hold None here until they are rendered, so that their order stays as written.
        base: dict[str, Any] = {}
        moving: list[tuple[str, Render]] = []
        for key, member in value.items():
            base[key], render = self.value(member, (*path, key))
            if render is not None:
                moving.append((key, render))
        if not moving:
            return _same_or_new(value, value.values(), base, base.values()), None
        return None, _object_of(base, moving)

    def array(self, value: list[Any], path: SecretPath) -> tuple[Any, Render | None]:
        base: list[Any] = []
        moving: list[tuple[int, Render]] = []
        for index, item in enumerate(value):
            static, render = self.value(item, (*path, index))
            base.append(static)
            if render is not None:
                moving.append((index, render))
        if not moving:
            return _same_or_new(value, value, base, base), None

        def render_array(context: Context) -> list[Any]:
            rendered = base.copy()
            for index, render in moving:
                rendered[index] = render(context)
            return rendered

        return None, render_array

    def text(self, text: str, path: SecretPath) -> tuple[Any, Render | None]:
        if ("{" not in text and "}" not in text) or len(self.faults) >= MAX_REPORTED_FAULTS:
            return text, None
        try:
            parts = [self._part(part, path) for part in parse_text(text)]
        except PlaceholderInvalid as error:
            self._fault(path, error.message, error.position)
            return text, None
        secrets = sum(isinstance(part, _Secret) for part in parts)
        pieces: list[str | Render] = [part.text if isinstance(part, _Secret) else part for part in parts]
        texts = [piece for piece in pieces if isinstance(piece, str)]
        if secrets:
            self.secret_paths.append(path)
            if sum(piece.count(OPENING) for piece in texts) != secrets:
                self._fault(path, "an escaped secret placeholder cannot stand beside a real one", 0)
        if len(texts) == len(pieces):
            joined = "".join(texts)
            return (text if joined == text else joined), None
        if len(pieces) == 1 and not isinstance(pieces[0], str):
            return None, pieces[0]
        return None, _text_of(pieces, secrets)

    def _part(self, part: str | Placeholder, path: SecretPath) -> "str | Render | _Secret":
        if isinstance(part, str):
            return part
        if len(self.references) + len(self.secrets) >= MAX_TEMPLATE_PLACEHOLDERS:
            raise PlaceholderInvalid(f"a template has at most {MAX_TEMPLATE_PLACEHOLDERS} placeholders", part.position)
        reference = Reference(part.root, part.text, join_path(self.base, *path), part.position)
        if part.root == SECRET_ROOT:
            secret = _Secret(part)
            self.secrets.append(reference)
            return secret
        render = compile_placeholder(part)
        self.references.append(reference)
        return render

    def _fault(self, path: SecretPath, message: str, position: int, code: str = TemplateInvalid.code) -> None:
        self.faults.append(fault(join_path(self.base, *path), message, code, position))


class _Secret:
    """A secret placeholder, kept as its canonical text."""

    def __init__(self, placeholder: Placeholder) -> None:
        if placeholder.filters or len(placeholder.keys) != 1 or not placeholder.text.startswith("secret."):
            raise PlaceholderInvalid("a secret is written {secret.NAME}, without filters", placeholder.position)
        self.text = f"{{{placeholder.text}}}"


def _constant(value: Any) -> Render:
    return lambda _context: value


def _object_of(base: dict[str, Any], moving: list[tuple[str, Render]]) -> Render:
    if len(base) == 1:
        only, render_only = moving[0]
        return lambda context: {only: render_only(context)}

    def render_object(context: Context) -> dict[str, Any]:
        rendered = base.copy()
        for key, render in moving:
            rendered[key] = render(context)
        return rendered

    return render_object


def _text_of(pieces: list[str | Render], secrets: int) -> Render:
    def render_text(context: Context) -> str:
        texts = [piece if isinstance(piece, str) else as_text(piece(context)) for piece in pieces]
        bounded(sum(map(len, texts)))
        return "".join(texts)

    if not secrets:
        return render_text
    return lambda context: guard_secrets(render_text(context), secrets)


def _measured(render: Render) -> Render:
    def render_measured(context: Context) -> Any:
        value = render(context)
        _measure(value)
        return value

    return render_measured


def _measure(value: Any) -> None:
    """Raise `TemplateTooLarge` for a value whose JSON would be above the bound; stops as soon as that is known."""
    size = 0
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            size += len(item) + 2
        elif isinstance(item, dict):
            size += len(item) + 2 + sum(map(len, item))
            stack.extend(item.values())
        elif isinstance(item, list):
            size += len(item) + 2
            stack.extend(item)
        else:
            size += 1
        if size > MAX_RENDERED_CHARS:
            bounded(size)


def _same_or_new(original: Any, before: Iterable[Any], changed: Any, after: Iterable[Any]) -> Any:
    """Return the original container when no member of it changed (by an escape undone), so that it is not copied."""
    return original if all(old is new for old, new in zip(before, after, strict=True)) else changed
