"""Judges of the plays: programs that read the evidence where it lies, and import nothing of ours but each other."""
