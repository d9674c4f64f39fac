"""Pointsman: an LLM gateway whose every decision is read from a registry of approved model targets."""

__version__ = "0.1.0"
