"""Transfers: save results to storage."""
