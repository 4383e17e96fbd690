"""A parcel carrier: rates, shipments under our reference, and tracking events."""
