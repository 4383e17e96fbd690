"""Claims on stock, ours beside Tryton and Vendure: all real, all over HTTP, counted by SQL in each one's database."""
