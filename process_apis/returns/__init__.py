"""Returns: authorised, received, dispositioned, credited."""
