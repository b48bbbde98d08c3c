"""Form widgets."""
