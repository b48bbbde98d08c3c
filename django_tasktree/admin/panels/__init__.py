"""Parts of the pages of runs and nodes: summary, attempts, history, stored values, and why a node has not started."""
