"""Servers that can be installed: the form they are published in, and what becomes of them."""
