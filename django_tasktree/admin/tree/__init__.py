"""The tree of a run on a page: its rows, search, graph and timeline."""
