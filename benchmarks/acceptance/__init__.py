"""Durable, idempotent acceptance of ten-line orders through the whole door, counted afterwards in the record."""
