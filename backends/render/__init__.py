"""What is derived from a fleet: pure functions from `Fleet` to configurations."""
