"""Clients of a version that will end are told so, in every answer."""
