"""Partners, their clients, keys and plans, administered by those who run the gateway."""
