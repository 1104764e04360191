"""The service: the connection to it, and the two clients that send calls."""
