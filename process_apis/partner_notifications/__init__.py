"""Partner notifications: every partner that asked is told of order and availability changes, signed, until it answers."""
