"""Order to ship: an accepted order reaches its ERP and its warehouses exactly once, and every shipment is accounted."""
