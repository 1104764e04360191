"""Bytes: media going in, results coming back, whole-file writes to storage."""
