"""What reaches a handler fits its contract, strictly."""
