"""What `agentic demo` runs: workflows, and a small site on this machine for them to read."""
