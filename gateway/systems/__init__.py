"""Systems: adapters loaded from settings, who answers what for which location, their generated routes and webhooks."""
