"""Who asks: partners and their plans, OAuth2 clients, API keys, signing keys, token issue and verification."""
