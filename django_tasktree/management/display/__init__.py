"""Show runs on a terminal, as plain text or as JSON."""
