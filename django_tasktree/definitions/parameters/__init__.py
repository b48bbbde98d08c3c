"""The typed parameters of a definition, read from the signature of its function."""

from django_tasktree.definitions.parameters.parameter import Parameter
from django_tasktree.definitions.parameters.signature import parameters_of

__all__ = ["Parameter", "parameters_of"]
