"""Every request has an id of ours, a correlation id, and a trace when it is sampled."""
