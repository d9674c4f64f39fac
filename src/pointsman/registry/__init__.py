"""What may be called: the file, strictly read; the interlock that proves it; the document that is published."""

from pointsman.registry.compile import Compiled, compile_registry
from pointsman.registry.problem import Problem, RegistryInvalid

__all__ = ["Compiled", "Problem", "RegistryInvalid", "compile_registry"]
