"""Channel publication: what shops and marketplaces show is what may be sold, and what they sold is promised."""
