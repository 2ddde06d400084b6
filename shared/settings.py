"""Configuration: one frozen struct a service, read once from the environment."""

import difflib
import os
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from shared.errors import PlatformError

PREFIX = "AGENTIC_"
SERVICES = ("tenant", "mcp_gateway", "workflow", "rag", "agent")


class SettingsInvalid(PlatformError):
    """The environment asks for something that cannot be: the message names the variable and what would be right."""

    code = "settings_invalid"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service needs to know. Field `http_port` is read from `AGENTIC_HTTP_PORT`, and so on."""

    postgres_dsn: str
    """Login that answers requests and sees one tenant at a time."""
    postgres_worker_dsn: str
    """Login that works through all tenants' queues and answers no request."""
    nats_url: str = "nats://127.0.0.1:4222"
    nats_seed: str = ""
    """The service's nkey seed; empty where the server asks for none."""
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    http_socket: str = ""
    """Path of a unix socket to listen on in place of host and port."""
    data_dir: str = ".agentic"
    log_level: str = "info"
    allowed_hosts: str = ""
    """`host:port,…`: where requests on a tenant's behalf may go although the address is not a public one."""
    instance: str = msgspec.field(default_factory=lambda: f"{os.uname().nodename}-{os.getpid()}")
    """Name of this process among its replicas."""


S = TypeVar("S", bound=Settings)


def read_settings(struct: type[S], service: str, environ: Mapping[str, str] = os.environ) -> S:
    """Read `struct` from the environment. Raises `SettingsInvalid` for an unknown, missing or ill-typed variable.

    Variables of another service (`AGENTIC_<OTHER>_…`) may be there and are not looked at.
    """
    known = {PREFIX + name.upper(): name for name in struct.__struct_fields__}
    others = tuple(f"{PREFIX}{other.upper()}_" for other in SERVICES if other != service)
    values: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable.startswith(others):
            continue
        if variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise SettingsInvalid(f"{variable} is no setting of {service}.{hint}")
        values[known[variable]] = value
    try:
        return msgspec.convert(values, struct, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsInvalid(f"The environment of {service} is not right: {_in_variables(str(error))}") from error


def _in_variables(text: str) -> str:
    for name in sorted(Settings.__struct_fields__, key=len, reverse=True):
        text = text.replace(f"`{name}`", f"`{PREFIX}{name.upper()}`")
    return text
