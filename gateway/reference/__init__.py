"""Master data: which source's word counts for which attribute, who owns what, and files of it."""
