"""Frozen values and pure rules that every other room speaks. No input or output happens here."""
