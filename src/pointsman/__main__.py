"""`python -m pointsman` is `pointsman`."""

from pointsman.cli.main import run

if __name__ == "__main__":
    run()
