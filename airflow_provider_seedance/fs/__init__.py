"""The read-only file system ``seedance://``."""
