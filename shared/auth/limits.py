"""Bounds of credentials."""

ACCESS_TOKEN_S = 15 * 60
# Who was revoked is remembered until the last token that they can hold has expired. The minute more is for a log-in
# that had read the user before they were deleted, and was answered after that.
REVOKED_S = ACCESS_TOKEN_S + 60
REVOKED_MAX = 50_000  # at once; their ids fit one message, and each took a write to the database to make
REVOCATIONS_LOOK_S = 0.5  # how often the connection is looked at: what was said while it was away has to be asked for
PROOF_S = 60  # how far the clocks of the operator and the tenant service may be apart
JWKS_MAX_AGE_S = 300.0  # a key that tokens are no longer signed with is known for so long
JWKS_RETRY_S = 10.0
