"""What every service needs and none owns: identity, errors, events, the bus, HTTP conventions."""
