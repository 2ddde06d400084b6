"""The services. Each runs alone and imports no other: they meet on the bus."""
