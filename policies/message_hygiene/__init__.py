"""Headers that mean one thing: bounded, unambiguous, and without what a client may not say."""
