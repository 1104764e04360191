"""Files: media going in, results coming back, and how they are stored."""
