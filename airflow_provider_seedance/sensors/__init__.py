"""Sensors: wait for generations and assets that another task, or somebody else, created."""
