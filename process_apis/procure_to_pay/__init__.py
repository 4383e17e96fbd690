"""From an approved purchase order to an invoice that agrees with what came in."""
