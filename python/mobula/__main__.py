"""python -m mobula: the command line."""

from mobula.cli import main

main()
