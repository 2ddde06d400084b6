"""Measurements. Ratios of one run are worth keeping; absolute figures belong to the machine."""
