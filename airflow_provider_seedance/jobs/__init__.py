"""Remote jobs: submitted once, and waited for."""
