"""Partner notifications: every partner that asked is told of changes, signed, until it answers."""
