"""Running plans: the driver of the C++ executor, figures, progress, failures."""
