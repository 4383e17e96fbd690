"""Crossdock: the API gateway and integration layer for distributors."""
