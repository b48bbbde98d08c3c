"""Inside a worker: the attempt at a node, heartbeats, attempts that were lost. It knows no handles and no actions."""
