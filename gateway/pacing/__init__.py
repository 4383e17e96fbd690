"""What a system bears, kept over all processes: calls in any window of time, visits at once, and who comes first."""
