"""Operators: create videos and assets."""
