"""How much may this caller ask? By address before authentication, by partner, plan and operation after it."""
