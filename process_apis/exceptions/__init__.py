"""One queue for everything that a person must see."""
