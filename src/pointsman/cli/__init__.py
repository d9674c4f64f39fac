"""Commands: each a file, each importing what it needs when it runs."""
