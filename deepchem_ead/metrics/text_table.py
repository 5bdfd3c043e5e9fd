"""Tables of text."""

from __future__ import annotations


def aligned(head: list[str], body: list[list[str]]) -> str:
    """Lines of cells under a head and a rule; the first column to the left, others to the right."""
    widths = [max(len(line[k]) for line in [head, *body]) for k in range(len(head))]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in [head, *body]
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([lines[0], rule, *lines[1:]])
