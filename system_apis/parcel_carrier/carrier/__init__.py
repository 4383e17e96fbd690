"""The sandbox of the parcel carrier: its books, its rates, its API and its webhooks."""
