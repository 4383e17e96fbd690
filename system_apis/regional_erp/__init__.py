"""Regional WMS: a warehouse with a REST API and signed webhooks."""
