"""Durable workflows: definitions, executions and the engine that runs them."""
