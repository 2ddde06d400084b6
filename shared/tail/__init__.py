"""Reading the log as it grows: the relay that tells others, and the projections that build read models."""
