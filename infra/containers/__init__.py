"""The platform in containers: what is prepared once for all of them, and how one service starts."""
