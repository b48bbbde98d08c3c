"""The tables of the demo."""
