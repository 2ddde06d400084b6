"""Connections that go out of the platform."""
