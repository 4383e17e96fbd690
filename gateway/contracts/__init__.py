"""Published contracts: one OpenAPI document for each API version, built from the code that serves it."""
