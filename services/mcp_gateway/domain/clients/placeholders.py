"""What stands in a client's file for a value that is elsewhere, and what becomes of it: a secret's name, or a fault.

`${input:id}` is asked for by VS Code; `${env:NAME}`, `${NAME}` and `${NAME:-default}` come from the environment of the
machine that the client runs on, which is not this one.
"""

import re
from collections.abc import Mapping

import msgspec

from services.mcp_gateway.domain.clients.config import ConfigInput
from services.mcp_gateway.domain.clients.credentials import is_credential, is_credential_name, secret_name
from services.mcp_gateway.limits import IMPORT_FAULTS_MAX, SERVER_TEXT_MAX_CHARS
from shared.errors import FieldFault

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SECRET = re.compile(r"\{secret\.([A-Za-z0-9_]+)\}")
_SCHEME = re.compile(r"((?:bearer|basic|token|apikey|api-key|key)\s+)(\S.*)", re.IGNORECASE | re.DOTALL)
_NOT_SECRET = frozenset({"", "true", "false", "yes", "no", "on", "off", "none", "null", "0", "1"})


class SecretNeeded(msgspec.Struct, frozen=True, order=True):
    """A secret that has to be there before the server works, and what it is for."""

    name: str
    path: str


class Secrets:
    """Gives names to the secrets of one file: the same value has one name, and a name one value."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def name_for(self, wanted: str, value: str, within: str) -> str:
        """Return the secret's name for a value, or for where it comes from: the one wanted if that is free."""
        for candidate in (secret_name(wanted), secret_name(f"{within}_{wanted}")):
            if self._values.setdefault(candidate, value) == value:
                return candidate
        at = 2
        while self._values.setdefault(secret_name(f"{at}_{within}_{wanted}"), value) != value:
            at += 1
        return secret_name(f"{at}_{within}_{wanted}")


class Reading:
    """Reads the values of one server of a file; gathers its faults and the secrets that it needs."""

    def __init__(
        self,
        slug: str,
        inputs: Mapping[str, ConfigInput],
        answers: Mapping[str, str],
        secrets: Secrets,
    ) -> None:
        self._slug = slug
        self._inputs = inputs
        self._answers = answers
        self._environment: Mapping[str, str] = {}
        self._secrets = secrets
        self.faults: list[FieldFault] = []
        self._needed: list[SecretNeeded] = []

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return a server's variables, with secrets named; its other values may refer to them from now on."""
        read = {name: self.named(name, value, f"env_vars.{name}") for name, value in values.items()}
        self._environment = read
        return read

    def header(self, name: str, value: str) -> str:
        """Return the value of a header. Many servers have headers of one name, so the secret's has the server's."""
        return self.named(name, value, f"config.headers.{name}", f"{self._slug}_{name}")

    def named(self, name: str, value: str, path: str, wanted: str | None = None) -> str:
        """Return a value that has a name, with secrets named in place of what is one."""
        text = self.text(value, path)
        if _SECRET.search(text) or text.lower() in _NOT_SECRET:
            return text
        if not is_credential_name(name) and not is_credential(text):
            return text
        scheme = _SCHEME.fullmatch(text)
        before, secret = (scheme[1], scheme[2]) if scheme else ("", text)
        return before + self._secret(wanted or name, secret, path)

    def unnamed(self, value: str, wanted: str, path: str) -> str:
        """Return a value that has no name: it is a secret only by its looks."""
        text = self.text(value, path)
        return self._secret(wanted, text, path) if is_credential(text) and not _SECRET.search(text) else text

    def needed_in(self, text: str) -> list[SecretNeeded]:
        """Return the secrets that a text names, each once, with the first place that it is for."""
        named = set(_SECRET.findall(text))
        first = {secret.name: secret for secret in reversed(self._needed) if secret.name in named}
        return sorted(first.values())

    def text(self, value: str, path: str) -> str:
        """Return a text whose placeholders are resolved. One that has no meaning here is a fault and stays."""
        parts: list[str] = []
        end = 0
        for match in _PLACEHOLDER.finditer(value):
            parts += (value[end : match.start()], self._resolved(match, path))
            end = match.end()
        parts.append(value[end:])
        if sum(map(len, parts)) <= SERVER_TEXT_MAX_CHARS:
            return "".join(parts)
        self.fault(path, f"This has more than {SERVER_TEXT_MAX_CHARS} characters with what it stands for.", "too_large")
        return ""

    def fault(self, path: str, message: str, code: str) -> None:
        """Note what is in the way, as far as anybody reads on."""
        if len(self.faults) < IMPORT_FAULTS_MAX:
            self.faults.append(FieldFault(path, message, code))

    def _resolved(self, match: re.Match[str], path: str) -> str:
        inner = match[1]
        if inner.startswith("input:"):
            return self._asked(inner.removeprefix("input:"), match[0], path)
        variable = _VARIABLE.fullmatch(inner)
        if variable is None:
            self.fault(path, f"{match[0][:80]} has no meaning here.", "placeholder_unknown")
            return match[0]
        name, default = variable[1], variable[2]
        if name in self._environment:
            return self._environment[name]
        return default if default is not None else self._secret(name, f"env:{name}", path)

    def _asked(self, id_: str, placeholder: str, path: str) -> str:
        asked = self._inputs.get(id_)
        if asked is None:
            self.fault(path, f"The file has no input {id_[:80]!r}.", "placeholder_unknown")
            return placeholder
        if asked.password:
            return self._secret(id_, f"input:{id_}", path)
        answer = self._answers.get(id_, asked.default)
        if answer is None:
            what = asked.description or "a value"
            self.fault(f"inputs.{id_}", f"Its client asks for this: {what}.", "value_required")
            return placeholder
        return answer

    def _secret(self, wanted: str, value: str, path: str) -> str:
        name = self._secrets.name_for(wanted, value, self._slug)
        self._needed.append(SecretNeeded(name, path))
        return f"{{secret.{name}}}"
