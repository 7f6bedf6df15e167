"""Where datasets go: one module for each kind of sink."""
