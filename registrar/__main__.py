"""`python -m registrar`, and the console script."""

from registrar.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
