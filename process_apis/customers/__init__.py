"""Customers: one list of who buys, who gets the goods and who pays, with each ERP's own code for them."""
