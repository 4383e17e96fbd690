"""Storefront shop: an online shop with stock figures, orders and a call limit of its own."""
