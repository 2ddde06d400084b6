"""Keeps values of secrets out of a process's log, whoever writes there: a server may print what it was started with."""

import logging
from collections import OrderedDict

from shared.limits import SECRET_CACHE_SIZE
from shared.secrets.redaction import Redaction, forms_of


class SecretsInLogs:
    """The values that this process was given lately, at most two times `SECRET_CACHE_SIZE`."""

    def __init__(self) -> None:
        self._forms: OrderedDict[str, tuple[frozenset[str], str]] = OrderedDict()
        self._redaction = Redaction({})

    def add(self, name: str, value: str) -> None:
        """Take a value out of every line from now on."""
        if value in self._forms:
            self._forms.move_to_end(value)
            return
        forms = self._forms[value] = forms_of(value), name
        self._redaction.add(*forms)
        if len(self._forms) > 2 * SECRET_CACHE_SIZE:
            self._forget_half()

    def clean(self, line: str) -> str:
        """Return the line with references in place of the values."""
        return self._redaction.text(line)

    def _forget_half(self) -> None:
        while len(self._forms) > SECRET_CACHE_SIZE:
            self._forms.popitem(last=False)
        self._redaction = Redaction({})
        for forms, name in self._forms.values():
            self._redaction.add(forms, name)

    def install(self) -> None:
        """Clean what every handler of the root logger writes from now on."""
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_Cleaning(handler.formatter or logging.Formatter(), self))


class _Cleaning(logging.Formatter):
    def __init__(self, inner: logging.Formatter, secrets: SecretsInLogs) -> None:
        super().__init__()
        self._inner = inner
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as the formatter within writes it, cleaned: message, error and all."""
        return self._secrets.clean(self._inner.format(record))
