"""The supplier's door, version 1."""
