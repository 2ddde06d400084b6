"""What can go wrong with secrets, by stable code. No message and no detail ever holds a value."""

from shared.errors import PlatformError


class SecretNotFound(PlatformError):
    """The tenant has no secret of this name, or none that can be read any more. `details.name` says which."""

    code = "secret_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no secret {name[:80]!r}.", details={"name": name[:80]})


class SecretsUnavailable(PlatformError):
    """This deployment does not let the service ask for secrets. Trying again does not help; setting it up does."""

    code = "secrets_unavailable"
