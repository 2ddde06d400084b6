"""What is true of tenants, users and API keys."""
