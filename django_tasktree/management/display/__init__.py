"""How runs look in a terminal, in a pipe and as JSON."""
