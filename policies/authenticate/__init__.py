"""Who asks? A token or an API key becomes a principal; without one, 401 with a challenge (RFC 6750)."""
