"""Actions on runs and nodes: their names, implementation and descriptions. Imports no handles and no pages."""
