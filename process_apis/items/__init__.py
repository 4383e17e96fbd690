"""Items: one list of what is sold, from the systems that keep it, with each system's own code."""
