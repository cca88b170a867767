"""How the archive's schema came to be, a step a file."""
