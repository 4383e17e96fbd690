"""The operations console: one page on the record, with retry, replay and repair beside what failed."""
