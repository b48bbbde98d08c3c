"""Delete runs and nodes, with the rows of other apps that refer to them."""
