"""The diagrams of the page about the architecture, drawn from the code when the documentation is built.

Generated files are not stored, so no diagram can be out of date. ``tests/unit/project/test_architecture.py`` compares
the parts that can't be derived from the code with the code. Drawing needs only Python.
"""
