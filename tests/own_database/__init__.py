"""A project with a separate database for runs; tests/integration/engine/test_own_database.py runs its tests."""
