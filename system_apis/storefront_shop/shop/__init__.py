"""The shop that the sandbox runs: levels, shoppers, orders, a leaky bucket."""
