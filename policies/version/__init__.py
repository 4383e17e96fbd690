"""Which operation and which version of its API a request means, and whether that version still lives."""
