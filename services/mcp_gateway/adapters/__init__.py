"""How the gateway does what its ports promise."""
