"""Agents, tasks, messages, conversations. Today it serves its operations endpoints only."""
