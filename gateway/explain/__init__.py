"""Why the door answered as it did: a record of every write, every refusal and some reads, kept for a day."""
