"""Locations: one hierarchy of where goods are, with each system's own code, that changes while everything runs."""
