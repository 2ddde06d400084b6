"""Which values look like credentials, by what they are called and by how they look.

It errs on the side of the secret: what is taken for one wrongly costs a secret that was none.
"""

import re
from collections import Counter
from math import log2

from services.mcp_gateway.limits import CREDENTIAL_MIN_CHARS, SECRET_NAME_MAX_CHARS

_NAMES = re.compile(
    r"password|passwd|passphrase|secret|credential|api_?key|authorization"
    r"|(?:^|[_.-])(?:token|pwd|pass|auth|bearer|cookie|session_?id|pat|dsn|connection_?string|key)(?:[_.-]?\d*)$",
    re.IGNORECASE,
)
_URLS = re.compile(r"(?:^|_)(?:database|db|redis|mongo(?:db)?|postgres(?:ql)?|mysql|amqp)_?ur[il]$", re.IGNORECASE)
_PREFIXES = re.compile(
    r"(?:gh[oprsu]_|github_pat_|glpat-|sk-|sk_|pk_live_|rk_live_|xox[abeprs]-|xapp-|AKIA|ASIA|AIza|ya29\.|eyJ[\w-]+\.|"
    r"npm_|pypi-|hf_|SG\.|whsec_|ATATT|lin_api_|ntn_|secret_|dop_v1_|ap_[a-z]+_|r8_|shp(?:at|ss)_|-----BEGIN )"
)
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9_+=]+")
_BITS_PER_CHAR_MIN = 3.0


def is_credential_name(name: str) -> bool:
    """Whether a variable, a header, an option or a parameter of a URL of this name holds a credential."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _NAMES.search(parted) is not None or _URLS.search(parted) is not None


def is_credential(value: str) -> bool:
    """Whether a value looks like a credential whatever it is called."""
    return (
        (_PREFIXES.match(value) is not None and len(value) >= CREDENTIAL_MIN_CHARS)
        or _USERINFO.search(value) is not None
        or _is_random(value)
    )


def _is_random(value: str) -> bool:
    return any(_is_mixed(run) for run in _RUN.findall(value) if len(run) >= CREDENTIAL_MIN_CHARS)


def _is_mixed(run: str) -> bool:
    if not (any(sign.isdigit() for sign in run) and any(sign.isalpha() for sign in run)):
        return False
    return -sum(n / len(run) * log2(n / len(run)) for n in Counter(run).values()) >= _BITS_PER_CHAR_MIN


def secret_name(text: str) -> str:
    """Return the name of a secret that a text gives."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "SECRET"
    return (name if not name[0].isdigit() else f"_{name}")[:SECRET_NAME_MAX_CHARS]
