"""One spelling per path, decided before anything is matched, authorised or logged."""
