"""The demo: an inventory of a directory, one node per directory."""
