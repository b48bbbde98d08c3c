"""A project whose runs have a database of their own: tests/integration/test_own_database.py runs its tests."""
