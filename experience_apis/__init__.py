"""Experience APIs: one folder for each audience, one below it for each major version."""
