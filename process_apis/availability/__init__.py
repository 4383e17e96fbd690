"""Availability: one inventory truth, stock promised once."""
