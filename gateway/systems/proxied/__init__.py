"""Existing HTTP APIs, wrapped: a base URL and an OpenAPI document in settings become operations behind every policy."""
