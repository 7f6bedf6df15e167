"""The command `mobula`. `mobula run` is read by hand, so that a program starts without waiting for click."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """The entry point."""
    words = sys.argv[1:]
    if words[:1] == ["run"] and not {"-h", "--help"} & set(words[1:2]):
        sys.exit(_run(words[1:]))
    if words == ["--version"]:
        from mobula import __version__

        print(f"mobula {__version__}")
        return
    _commands()(prog_name="mobula")


def _run(words: list[str]) -> int:
    from mobula import as_ray

    options = []
    while words and words[0].startswith("-"):
        options.append(words.pop(0))
    unknown = [option for option in options if option != "--as-ray"]
    if unknown or not words:
        print("usage: mobula run [--as-ray] program.py [arguments...]", file=sys.stderr)
        if unknown:
            print(f"mobula run: unknown option {unknown[0]}", file=sys.stderr)
        return 2
    return as_ray.run_program(words[0], words[1:], as_ray="--as-ray" in options)


def _commands() -> Any:
    import click

    @click.group(help="Runs the programs that people write for Ray: on one machine, at the machine's speed.")
    @click.version_option(package_name="mobula", message="mobula %(version)s")
    def group() -> None:
        pass

    @group.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
    @click.option("--as-ray", is_flag=True, help="`import ray` in the program means mobula.")
    @click.argument("program", type=click.Path())
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(as_ray: bool, program: str, arguments: tuple[str, ...]) -> None:
        """Run a Python program."""
        from mobula.as_ray import run_program

        sys.exit(run_program(program, list(arguments), as_ray))

    return group


if __name__ == "__main__":
    main()
