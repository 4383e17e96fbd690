"""Tryton 8.2, a free ERP, spoken to over its JSON-RPC. The server itself is GPL-3 and always another process."""
