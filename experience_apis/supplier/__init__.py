"""What a supplier sees and says of its purchase orders."""
