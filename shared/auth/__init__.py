"""Verifying credentials. Issuing them is the tenant service's."""
