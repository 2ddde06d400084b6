"""How a service gets its source of secrets."""

from shared.runtime import Runtime
from shared.secrets.logs import SecretsInLogs
from shared.secrets.questions import reader_key
from shared.secrets.remote import RemoteSecrets


def open_secrets(rt: Runtime, seed: str, setting: str) -> RemoteSecrets:
    """Return the tenant service's secrets, as asked for with `seed`, the value of `setting`; none if that is empty.

    Raises `SettingsInvalid` for a seed that is none.
    """
    logs = SecretsInLogs()
    logs.install()
    secrets = RemoteSecrets(rt.client, reader_key(seed, setting) if seed else None, setting, logs.add)
    secrets.hear_changes(rt.broker)
    return secrets
