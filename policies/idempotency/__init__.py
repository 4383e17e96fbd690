"""The same key is executed once, and answered the same every time (draft-ietf-httpapi-idempotency-key-header-07)."""
