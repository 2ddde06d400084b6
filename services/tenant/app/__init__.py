"""What happens: commands, log-ins, verification."""
