"""The ground floor: clock, ids, money, quantity, errors, context, secrets. It imports nothing of ours."""
