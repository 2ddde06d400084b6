"""What happens: the engine's loop, the handling of commands, queries."""
