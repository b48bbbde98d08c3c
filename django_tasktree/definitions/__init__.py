"""Registered definitions: functions that build trees, with a name and typed parameters."""
