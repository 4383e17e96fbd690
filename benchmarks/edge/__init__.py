"""The door beside FastAPI: what a policy chain costs, and what is left of it on a real resource."""
