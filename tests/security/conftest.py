"""The security tests attack a whole platform, made as the end-to-end tests make theirs."""

from tests.e2e.conftest import demo, whole

__all__ = ["demo", "whole"]
