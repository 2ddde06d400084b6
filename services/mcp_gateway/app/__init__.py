"""What the gateway does: keep the registry, call tools, answer again what it answered before."""
