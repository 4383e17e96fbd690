"""Policies: one folder for each guarantee that the door gives."""
