"""Stages of fragments: the operators that run in workers."""
