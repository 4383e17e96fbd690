"""Adapters: one folder for each product that Crossdock speaks to."""
