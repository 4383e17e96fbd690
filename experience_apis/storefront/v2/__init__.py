"""Storefront, version 2."""
