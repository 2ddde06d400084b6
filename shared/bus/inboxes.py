"""Where answers to requests go. Imported by what must start fast: it imports nothing."""


def inbox_prefix(user: str) -> str:
    """Return the prefix of the reply subjects that only this user of NATS may subscribe."""
    return f"_INBOX_{user}"
