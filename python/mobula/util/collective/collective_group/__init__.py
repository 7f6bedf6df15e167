"""The groups of the back ends."""
