"""Who there is: tenants, their users and API keys; and the tokens that say so."""
