"""The door: an outermost ASGI application around the router, its chain of policies, and its way of refusing."""
