"""Logins, the database and its schemas: what an administrator makes before migrations can run."""
