"""The only way out: sessions to systems and one-shot deliveries to partners, with deadlines, retries and limits."""
