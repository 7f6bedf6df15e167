"""Plans: what a dataset is, and the operators that it runs as."""
