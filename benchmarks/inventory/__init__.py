"""Movements, reservations and answers per second on one record, counted there by somebody else."""
