"""Build trees in plain Python: nodes, eligible tasks, the order of nodes, the plan that is stored. It reads no rows."""
