"""JetStream carries the log: streams, the relay, consumers with positions, dead letters, live events."""
