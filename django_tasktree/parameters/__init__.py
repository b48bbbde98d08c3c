"""The typed parameters of a tree's definition, read from the signature of its function."""

from django_tasktree.parameters.parameter import Parameter
from django_tasktree.parameters.signature import parameters_of

__all__ = ["Parameter", "parameters_of"]
