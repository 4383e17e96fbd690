"""Storefront, version 1."""
