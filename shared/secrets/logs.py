"""Keeps values of secrets out of a process's log, whoever writes there: a server may print what it was started with."""

import logging
from collections import OrderedDict

from shared.limits import SECRET_CACHE_SIZE
from shared.secrets.redaction import Redaction


class SecretsInLogs:
    """The values that this process was given lately; those of long ago are forgotten one by one."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()
        self._redaction: Redaction | None = None

    def add(self, name: str, value: str) -> None:
        """Take a value out of every line from now on."""
        if value in self._names:
            self._names.move_to_end(value)
            return
        self._names[value] = name
        self._redaction = None
        if len(self._names) > SECRET_CACHE_SIZE:
            self._names.popitem(last=False)

    def clean(self, line: str) -> str:
        """Return the line with references in place of the values."""
        if self._redaction is None:
            self._redaction = Redaction.of(self._names.items())
        return self._redaction.text(line)

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
