"""Processes: one folder for each outcome, composed from capabilities."""
