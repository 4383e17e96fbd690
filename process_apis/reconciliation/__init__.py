"""What the owners of stock, the ERP and our own books say of the same thing, held against each other."""
