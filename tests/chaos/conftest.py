"""The chaos tests have a platform of their own, made as the end-to-end tests make theirs."""

from tests.e2e.conftest import demo, whole

__all__ = ["demo", "whole"]
