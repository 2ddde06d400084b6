"""Fills the inputs of an entry with what whoever installs it gives.

What is given is put in once and never read as a template again, so that a value cannot bring in another.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from services.mcp_gateway.domain.catalogue.server_json import Input, Template
from services.mcp_gateway.limits import INSTALL_REPEATS_MAX, NAMES_SHOWN_MAX, SERVER_TEXT_MAX_CHARS
from shared.errors import FieldFault
from shared.secrets.references import OPENING as SECRET_OPENING

SECRET = re.compile(r"\{secret\.[A-Za-z_][A-Za-z0-9_]{0,62}\}")
_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")

Given = Mapping[str, str | Sequence[str]]


class Filled(msgspec.Struct, frozen=True):
    """A text that is complete. `given`: whoever installs had a part in it; `begins_given`: it begins with that part."""

    text: str
    given: bool
    begins_given: bool = False


class Asked(msgspec.Struct, frozen=True):
    """What may be given for one input. `name` is the key of its value."""

    name: str
    path: str
    required: bool
    secret: bool
    format: str
    repeated: bool = False
    description: str | None = None
    default: str | None = None
    placeholder: str | None = None
    choices: tuple[str, ...] | None = None


class Filling:
    """One installation: takes the values, gathers all faults, and knows at the end which values nobody asked for."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._asked: dict[str, Asked] = {}
        self.faults: list[FieldFault] = []

    @property
    def asked(self) -> list[Asked]:
        """What was asked for until now, one of each name."""
        return list(self._asked.values())

    def finish(self) -> list[FieldFault]:
        """Return all faults: also of values that nothing asked for."""
        known = ", ".join(list(self._asked)[:NAMES_SHOWN_MAX]) or "nothing"
        unknown = [
            FieldFault(f"values.{name}", f"Nothing asks for this. Asked for: {known}.", "value_unknown")
            for name in self._given
            if name not in self._asked
        ]
        return [*self.faults, *unknown]

    def fault(self, path: str, message: str, code: str = "invalid") -> None:
        self.faults.append(FieldFault(path, message, code))

    def all_of(self, name: str, path: str, item: Template, *, repeated: bool = False) -> list[Filled]:
        """Return what stands for an input: nothing if it is left out, and several texts only if it is repeated."""
        if item.value is not None:
            filled = self._template(item.value, path, item.variables, required=item.is_required)
            return [] if filled is None else [filled]
        return self._values(name, path, item, required=item.is_required, repeated=repeated)

    def variable(self, name: str, path: str, item: Input, *, required: bool) -> Filled | None:
        """Return the value of a variable of a template, None if it is left out or has a fault."""
        if item.value is not None:
            return Filled(item.value, given=False)
        values = self._values(name, path, item, required=required or item.is_required, repeated=False)
        return values[0] if values else None

    def joined(self, parts: list[tuple[str, bool]], path: str) -> Filled | None:
        """Return the text that parts make; of each it is known whether it was given."""
        if sum(len(part) for part, _ in parts) > SERVER_TEXT_MAX_CHARS:
            self.fault(path, f"At most {SERVER_TEXT_MAX_CHARS} characters are passed on.", "too_large")
            return None
        text = "".join(part for part, _ in parts)
        # A secret is named by whoever installs, and whole: not by what the entry says around and between the values.
        if text.count(SECRET_OPENING) != sum(part.count(SECRET_OPENING) for part, given in parts if given):
            self.fault(path, "Only whoever installs a server names secrets.", "secret_not_given")
            return None
        said = [given for part, given in parts if part]
        return Filled(text, any(said), bool(said) and said[0])

    def _template(self, template: str, path: str, variables: Mapping[str, Input], *, required: bool) -> Filled | None:
        """Return a template with its variables put in, None if one of them is missing; others stay as they stand."""
        parts: list[tuple[str, bool]] = []
        end = 0
        complete = True
        for match in _VARIABLE.finditer(template):
            if match[1] not in variables:
                continue
            filled = self.variable(match[1], f"{path}.variables.{match[1]}", variables[match[1]], required=required)
            complete = complete and filled is not None
            parts.append((template[end : match.start()], False))
            parts.append(("", False) if filled is None else (filled.text, filled.given))
            end = match.end()
        parts.append((template[end:], False))
        return self.joined(parts, path) if complete else None

    def _values(self, name: str, path: str, item: Input, *, required: bool, repeated: bool) -> list[Filled]:
        self._ask(name, path, item, required=required, repeated=repeated)
        if name in self._given:
            return self._taken(name, item, repeated=repeated)
        if item.default is not None:
            return [Filled(item.default, given=False)]
        if required:
            self.fault(f"values.{name}", f"This is needed ({item.description or path}).", "value_required")
        return []

    def _ask(self, name: str, path: str, item: Input, *, required: bool, repeated: bool) -> None:
        asked = Asked(
            name=name,
            path=path,
            required=required and item.default is None,
            secret=item.is_secret,
            format=item.format,
            repeated=repeated,
            description=item.description,
            default=item.default,
            placeholder=item.placeholder,
            choices=item.choices,
        )
        self._asked.setdefault(name, asked)

    def _taken(self, name: str, item: Input, *, repeated: bool) -> list[Filled]:
        values = self._given[name]
        if isinstance(values, str):
            values = [values]
        elif not repeated:
            self.fault(f"values.{name}", "This takes one value.", "value_not_one")
            return []
        if len(values) > INSTALL_REPEATS_MAX:
            self.fault(f"values.{name}", f"At most {INSTALL_REPEATS_MAX} values are taken.", "value_too_often")
            return []
        return [Filled(value, given=True, begins_given=True) for value in values if self._fits(name, value, item)]

    def _fits(self, name: str, value: str, item: Input) -> bool:
        path = f"values.{name}"
        if SECRET.fullmatch(value):
            return True
        if item.is_secret:
            hint = f"Keep it with `agentic secrets set NAME` and give `{SECRET_OPENING}NAME}}` here."
            self.fault(path, f"This is a secret. {hint}", "secret_in_the_clear")
        elif item.choices is not None and value not in item.choices:
            self.fault(path, f"One of: {', '.join(item.choices)}.", "value_no_choice")
        elif item.format == "number" and _NUMBER.fullmatch(value) is None:
            self.fault(path, "A number, such as 8 or -0.5.", "value_format")
        elif item.format == "boolean" and value not in {"true", "false"}:
            self.fault(path, "true or false.", "value_format")
        else:
            return True
        return False
