"""What the door decided is on record: every change, every refusal, a sample of reads."""
