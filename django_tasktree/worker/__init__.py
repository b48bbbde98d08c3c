"""What happens in a worker: attempts at nodes, heartbeats, and lost attempts. Imports no handles and no actions."""
