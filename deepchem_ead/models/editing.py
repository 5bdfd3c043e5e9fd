"""Molecules from molecules: the part of `EADModel` that starts from something given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdkit import Chem

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.choices import VARIATION_LEVEL
from deepchem_ead.conformers.options import TRIES, ConformerOptions
from deepchem_ead.generation.conformers import (
    START_LEVEL,
    ModelSources,
    find_all_conformers,
    find_conformers,
)
from deepchem_ead.generation.editing import (
    plan_edit,
    plan_variation,
    warn_of_unchanged,
)
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.whole import Molecule
from deepchem_ead.keywords import check_keywords
from deepchem_ead.models.guides import with_guide


class StartsFromMolecules:
    """What `EADModel.generate` does from a given molecule."""

    if TYPE_CHECKING:
        config: Any
        encoding: Any
        generate: Callable[..., MoleculeBatch]

    @check_keywords(SamplingOptions)
    def edit(
        self,
        mol: Molecule | Sequence[Molecule],
        keep: Any = None,
        n: int = 1,
        *,
        attach: Sequence[int] | None = None,
        keep_positions: Any = None,
        grow: int | tuple[int, int] | None = None,
        conditions: Mapping[str, object] | None = None,
        progress: bool = True,
        callback: Callable[[dict], None] | None = None,
        options: SamplingOptions | None = None,
        **keywords: Any,
    ) -> MoleculeBatch:
        """Generate molecules around a kept part of a molecule.

        Hydrogens on kept heavy atoms are kept. Where a removed atom was bonded to a kept one the
        valence stays open, and new atoms join there; or only where ``attach`` says.

        Parameters
        ----------
        mol : rdkit.Chem.Mol, MoleculeBatch of one, or list of these
            With all hydrogens and 3D coordinates; without bonds (XYZ) they are perceived. The
            molecules of a list are fragments that stand as they are to be linked: all of their
            atoms are kept, but for the hydrogens nearest to each other, which give way where a
            fragment has no open valence.
        keep : str, sequence of int or (n_atoms,) bool, optional
            SMARTS that match once, atom indices from 0, or a mask. Default: all atoms.
        n : int
            Number of molecules.
        attach : sequence of int, optional
            Kept atoms at which others may join, and nowhere else: a removed neighbour or a hydrogen
            gives its place, and other open valences get a hydrogen along the old bond. Two of them
            make a ring or link fragments; one can be named twice.
        keep_positions : as keep, optional
            Atoms whose positions stay and whose elements are free, in place of ``keep``. The
            molecules have as many atoms as ``mol`` unless ``n_atoms`` or ``grow`` says otherwise.
        grow : int or pair of int, optional
            How many atoms join, hydrogens included, or a range to draw from.
        conditions, progress, callback, options
            As in ``generate``.
        **keywords
            Further arguments of ``generate``: ``n_atoms`` (of the whole molecule), ``seed``,
            ``steps``, ``guide``... Without ``n_atoms`` and ``grow`` the model finds the size, or,
            if it knows no dummy atoms, one is drawn from the data's: at least one atom beyond what
            is kept. Between fragments without ``keep`` and ``attach`` it is drawn from their
            distance (`deepchem_ead.generation.linking.linker_sizes`).

        Returns
        -------
        MoleculeBatch
            As of ``generate``. Kept atoms come first, in the input's order and frame: positions,
            kinds and the bonds between them to the last bit. ``info["kept"]`` is their number,
            ``info["kept_atoms"]`` which of the input they are; hydrogens that close cut bonds
            follow them. A warning says how many came out as the molecule that was given.

        Raises
        ------
        MoleculeError
            If the molecule has no 3D coordinates, no hydrogens, or kinds of atoms that the model
            does not know, or fragments stand in each other.
        ValueError
            If SMARTS match nothing or several times, indices or a mask do not fit, nothing would
            change, nothing can join at an atom of ``attach``, or the model was not trained to edit.
        """
        options = SamplingOptions.among(keywords, options)
        plan = plan_edit(self, mol, keep, n, attach, keep_positions, grow, options)  # type: ignore[arg-type]
        found = self.generate(
            n, conditions=conditions, progress=progress, callback=callback, options=plan.options
        )
        warn_of_unchanged(plan, found)
        return replace(found, info={**found.info, **plan.info})

    @check_keywords(SamplingOptions)
    def vary(
        self,
        mol: Molecule,
        level: float = VARIATION_LEVEL,
        n: int = 1,
        *,
        conditions: Mapping[str, object] | None = None,
        progress: bool = True,
        callback: Callable[[dict], None] | None = None,
        options: SamplingOptions | None = None,
        **keywords: Any,
    ) -> MoleculeBatch:
        """Generate neighbours of a molecule: it is noised to a level and denoised again.

        Any weights can do this. Nothing is kept exactly; the atoms come in the order of the input.

        Parameters
        ----------
        mol : rdkit.Chem.Mol or MoleculeBatch of one
            With all hydrogens and 3D coordinates.
        level : float
            Above 0; the higher, the less is left of the molecule. At the default half of what
            is made of molecules of QM9 is the molecule itself.
        n : int
            Number of molecules.
        conditions, progress, callback, options
            As in ``generate``.
        **keywords
            Further arguments of ``generate``. ``n_atoms`` is by default the molecule's number.

        Raises
        ------
        MoleculeError
            If the molecule has no 3D coordinates, no hydrogens, or kinds of atoms that the model
            does not know.
        ValueError
            For a level out of range.
        """
        options = plan_variation(
            self,  # type: ignore[arg-type]
            mol,
            level,
            SamplingOptions.among(keywords, options),
        )
        return self.generate(
            n, conditions=conditions, progress=progress, callback=callback, options=options
        )

    @check_keywords(SamplingOptions)
    def conformers(
        self,
        mol: str | Chem.Mol | Sequence[str | Chem.Mol],
        n: int | None = None,
        *,
        purpose: str | None = None,
        start: Chem.Mol | Sequence[Chem.Mol | None] | None = None,
        start_level: float | None = None,
        relax: str | None = None,
        energies: str | None = None,
        solvent: str | None = None,
        prune: float | None = None,
        window: float | None = None,
        keep: int | None = None,
        trans_amides: bool = False,
        tries: int = TRIES,
        check_bonds: bool = True,
        progress: bool = True,
        options: SamplingOptions | None = None,
        **keywords: Any,
    ) -> Chem.Mol | list[Chem.Mol | None]:
        """Generate conformers of a molecule, or of each of many.

        A model with ``stereo=True`` is told the configurations of atoms and double bonds that the
        molecule specifies. Whatever the model, they are checked in every conformer: one all of
        whose centres are inverted is mirrored, one with other errors is drawn again.

        Parameters
        ----------
        mol : str, rdkit.Chem.Mol, or sequence of these
            SMILES, or a molecule; its own conformers are not looked at, see ``start``. Many are
            drawn side by side, which takes less time, and come out as they would one by one.
        n : int
            Number of conformers that are right; by default 1, or the purpose's number. What
            follows may leave fewer.
        purpose : {"screening", "docking", "dft"}, optional
            Defaults of what follows: see `deepchem_ead.conformers.options.PURPOSES`.
        start : rdkit.Chem.Mol, optional
            The molecule with conformers of its own: sampling begins at them with the noise of
            ``start_level``, one after another. They take part, too: they are checked, relaxed and
            ranked with those that are drawn. Atoms are matched by the graph. Of many, one for each,
            or None.
        start_level : float, optional
            Above 0; the higher, the less is left of ``start`` (default 300).
        relax : {"mmff94", "ani2xt", "gfn2"}, optional
            Minimise every conformer (MMFF94s, ANI-2xt, GFN2-xTB) and check it again.
        energies : {"mmff94", "ani2xt", "gfn2"}, optional
            Level of energies; by default that of ``relax``, or MMFF94s if ``window`` or ``keep``
            needs some. Conformers then come in their order, with the properties ``energy`` and
            ``relative_energy`` (kcal/mol) and ``weight`` (Boltzmann's at 298.15 K).
        solvent : str, optional
            Continuum (ALPB) that GFN2-xTB computes in: "water", "dmso", "octanol" ...
        prune : float
            Of conformers nearer to each other than this (RMSD of heavy atoms, symmetry-corrected,
            Angstrom) the lowest one stays. 0 (default): none is pruned.
        window : float, optional
            Leave out what is so many kcal/mol above the lowest one.
        keep : int, optional
            The lowest ones.
        trans_amides : bool
            Draw secondary amides outside rings again where they are cis.
        tries : int
            Rounds in which what is wrong is drawn again.
        check_bonds : bool
            Draw conformers again, too, in which bonded atoms are apart or others too near.
        progress, options
            As in ``generate``.
        **keywords
            Further arguments of ``generate``: ``seed``, ``steps``... By default weights that have
            learned other tasks, too, take 20 steps.

        Returns
        -------
        rdkit.Chem.Mol
            With its conformers (ids from 0), numbered as the input, hydrogens that it writes as
            atoms included; the others follow, as ``Chem.AddHs`` places them. Properties
            ``conformers_...`` say how they came about and what was drawn again. Of many a list in
            their order, with None for those that have no conformers; a warning says why. There a
            molecule may have fewer than ``n``, and ``conformers_notes`` says so.

        Raises
        ------
        MoleculeError
            If this molecule cannot be done (several parts, unknown kinds of atoms, radicals, too
            many atoms), or if after ``tries`` rounds conformers are still missing; says why.
        ValueError
            If the model was not trained for it, or an option is out of range.
        """
        options = SamplingOptions.among(keywords, options)
        wanted = ConformerOptions.for_purpose(
            purpose, n=n if purpose or n is not None else 1, tries=tries, check_bonds=check_bonds,
            trans_amides=trans_amides, relax=relax, energies=energies, prune=prune, window=window,
            keep=keep, solvent=solvent,
        )  # fmt: skip
        if start is None and start_level is not None:
            raise ValueError("start_level says how much is left of start=: give both")
        level = START_LEVEL if start_level is None else start_level
        guided = with_guide(options, self)  # type: ignore[arg-type]
        if isinstance(mol, Iterable) and not isinstance(mol, str):
            sources = ModelSources(self, guided, False, level)  # type: ignore[arg-type]
            return find_all_conformers(sources, list(mol), wanted, start, progress)
        sources = ModelSources(self, guided, progress, level)  # type: ignore[arg-type]
        return find_conformers(sources, mol, wanted, start)
