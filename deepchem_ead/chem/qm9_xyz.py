"""The frames of QM9's own files (``dsgdb9nsd_*.xyz``), which hold more than XYZ has room for.

Ramakrishnan et al., Scientific Data 1, 140022, 2014, table 2: the comment lists a tag, an index and
fifteen properties; a fifth column the Mulliken charges (not kept); after the atoms come a line of
harmonic frequencies, one of two SMILES and one of two InChIs.
"""

from __future__ import annotations

COLUMNS = 5
FOOTER_LINES = 3
# Names and units as in deepchem_ead.molnet.qm9.
_PROPERTIES = "A B C mu alpha homo lumo gap r2 zpve u0 u298 h298 g298 Cv".split()


def is_footer(lines: list[str]) -> bool:
    """Whether these lines stand after the atoms of a frame of QM9."""
    return len(lines) == FOOTER_LINES and lines[2].startswith("InChI=")


def qm9_tags(comment: str, footer: list[str]) -> tuple[str, dict[str, str]]:
    """Name (such as ``gdb 1``) and tags of a frame."""
    fields = comment.split()
    tags: dict[str, str] = {}
    name = comment.strip()
    if len(fields) == 2 + len(_PROPERTIES):
        name = " ".join(fields[:2])
        values = (value.replace("*^", "e") for value in fields[2:])
        tags.update(zip(_PROPERTIES, values, strict=True))
    tags["frequencies"] = " ".join(footer[0].split())
    for kind, line in (("SMILES", footer[1]), ("InChI", footer[2])):
        tags.update(zip((f"{kind}_given", f"{kind}_relaxed"), line.split(), strict=False))
    return name, tags
