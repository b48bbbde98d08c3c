"""A Django app of tasks and models that the tests run."""
