"""May this caller do that? Zone, tenant and scopes."""
