"""Strategies, health and recovery: pure rules over candidates."""
