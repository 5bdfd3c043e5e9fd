"""The list of commands in the help, and what an option that there is not is answered."""

from __future__ import annotations

import re

from typer.core import TyperGroup

from deepchem_ead.keywords import hint

#: Longer than any first sentence: in narrow windows lines are wrapped, not cut.
_WHOLE = 400


class CommandGroup(TyperGroup):
    """Commands that describe themselves in whole sentences and know what cannot be done yet."""

    def format_commands(self, ctx, formatter) -> None:
        """Write each command with its first sentence."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(n, c.get_short_help_str(_WHOLE)) for n, c in commands.items()])

    def invoke(self, ctx):
        """Run a command; a wrong option's message says what may have been meant."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Typer has had click's class and has one of its own, by its version.
            if type(error).__name__ == "NoSuchOption":
                meant = _hint(error.option_name, error.ctx.command.params)
                error.message += meant
                error.possibilities = None if meant else error.possibilities
            raise


def _hint(option: str, parameters: list) -> str:
    known = [_keyword(flag) for p in parameters for flag in p.opts if flag.startswith("--")]
    text = hint(_keyword(option), known)
    return re.sub(r"'(\w+)'", lambda match: "--" + match[1].replace("_", "-"), text)


def _keyword(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")
