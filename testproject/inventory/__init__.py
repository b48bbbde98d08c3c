"""The demo: an inventory of a directory tree, with a node for each directory."""
