"""Stock operations: transfers between our locations, and holds, releases and damage, asked of who holds the goods."""
