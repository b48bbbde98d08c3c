"""The objects that application code uses: trees, handles of runs and nodes, and actions on many runs or nodes."""
