"""Storefront: what a selling partner (shop, marketplace, B2B portal) sees. One folder for each major version."""
