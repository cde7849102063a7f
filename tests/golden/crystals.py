"""Crystals of textbooks, with lattice constants rounded as Kittel (Introduction to Solid State Physics) and Wyckoff (Crystal
Structures) print them, and a few that are made up. None is taken from a database."""

import numpy as np
from pymatgen.core import Lattice, Structure


def cubic(group, a, species, coords):
    return Structure.from_spacegroup(group, Lattice.cubic(a), species, coords)


def hexagonal(group, a, c, species, coords):
    return Structure.from_spacegroup(group, Lattice.hexagonal(a, c), species, coords)


def tetragonal(group, a, c, species, coords):
    return Structure.from_spacegroup(group, Lattice.tetragonal(a, c), species, coords)


def rock_salt(cation, anion, a):
    return cubic("Fm-3m", a, [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]]).get_primitive_structure()


def zinc_blende(cation, anion, a):
    return cubic("F-43m", a, [cation, anion], [[0, 0, 0], [0.25, 0.25, 0.25]]).get_primitive_structure()


def pyrite(metal, anion, a, u):
    return cubic("Pa-3", a, [metal, anion], [[0, 0, 0], [u, u, u]])


def wurtzite(cation, anion, a, c):
    return hexagonal("P6_3mc", a, c, [cation, anion], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.375]])


def molecule(symbols, coords, box=6.0):
    """A molecule or ion in a cubic box; Cartesian coordinates in angstrom."""
    return Structure(Lattice.cubic(box), symbols, coords, coords_are_cartesian=True)


def textbook():
    """Name -> structure."""
    crystals = {
        "aluminium": cubic("Fm-3m", 4.05, ["Al"], [[0, 0, 0]]),
        "sodium chloride": rock_salt("Na", "Cl", 5.64),
        "lithium fluoride": rock_salt("Li", "F", 4.02),
        "potassium bromide": rock_salt("K", "Br", 6.60),
        "potassium iodide": rock_salt("K", "I", 7.07),
        "lithium hydride": rock_salt("Li", "H", 4.08),
        "magnesia": rock_salt("Mg", "O", 4.21),
        "manganese oxide": rock_salt("Mn", "O", 4.43),
        "iron oxide": rock_salt("Fe", "O", 4.31),
        "cobalt oxide": rock_salt("Co", "O", 4.27),
        "nickel oxide": rock_salt("Ni", "O", 4.17),
        "vanadium nitride": rock_salt("V", "N", 4.13),
        "lead sulfide": rock_salt("Pb", "S", 5.92),
        "zinc sulfide": zinc_blende("Zn", "S", 5.41),
        "cadmium selenide": zinc_blende("Cd", "Se", 6.05),
        "cadmium telluride": zinc_blende("Cd", "Te", 6.48),
        "indium antimonide": zinc_blende("In", "Sb", 6.46),
        "silicon carbide": zinc_blende("Si", "C", 4.35),
        "zinc oxide": wurtzite("Zn", "O", 3.25, 5.20),
        "aluminium nitride": wurtzite("Al", "N", 3.11, 4.98),
        "caesium chloride": cubic("Pm-3m", 4.12, ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        "strontium titanate": cubic("Pm-3m", 3.905, ["Sr", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]),
        "iron fluoride perovskite": cubic("Pm-3m", 4.12, ["K", "Fe", "F"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]),
        "rutile": tetragonal("P4_2/mnm", 4.594, 2.959, ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
        "tungsten dioxide as rutile": tetragonal("P4_2/mnm", 4.86, 2.77, ["W", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
        "iron difluoride": tetragonal("P4_2/mnm", 4.697, 3.309, ["Fe", "F"], [[0, 0, 0], [0.3, 0.3, 0]]),
        "fluorite": cubic("Fm-3m", 5.46, ["Ca", "F"], [[0, 0, 0], [0.25] * 3]).get_primitive_structure(),
        "lithium oxide": cubic("Fm-3m", 4.62, ["O", "Li"], [[0, 0, 0], [0.25] * 3]).get_primitive_structure(),
        "magnesium silicide": cubic("Fm-3m", 6.35, ["Si", "Mg"], [[0, 0, 0], [0.25] * 3]).get_primitive_structure(),
        "pyrite": pyrite("Fe", "S", 5.42, 0.385),
        "barium peroxide": tetragonal("I4/mmm", 3.80, 6.80, ["Ba", "O"], [[0, 0, 0], [0, 0, 0.392]]),
        "potassium superoxide": tetragonal("I4/mmm", 4.03, 6.70, ["K", "O"], [[0, 0, 0], [0, 0, 0.405]]),
        "brucite": hexagonal("P-3m1", 3.14, 4.77, ["Mg", "O", "H"], [[0, 0, 0], [1 / 3, 2 / 3, 0.22], [1 / 3, 2 / 3, 0.42]]),
        "hematite": hexagonal("R-3c", 5.04, 13.75, ["Fe", "O"], [[0, 0, 0.355], [0.306, 0, 0.25]]),
        "molybdenite": hexagonal("P6_3/mmc", 3.16, 12.30, ["Mo", "S"], [[1 / 3, 2 / 3, 0.25], [1 / 3, 2 / 3, 0.621]]),
        "lithium cobaltate": hexagonal("R-3m", 2.82, 14.05, ["Li", "Co", "O"], [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.26]]),
        "spinel": cubic("Fd-3m", 8.08, ["Mg", "Al", "O"], [[0, 0, 0], [0.625] * 3, [0.387] * 3]).get_primitive_structure(),
        "nickel aluminide": cubic("Pm-3m", 2.88, ["Ni", "Al"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        # Made up: an ion in a box beside its partner.
        "sulfate in a box": molecule(
            ["Ba", "S", "O", "O", "O", "O"],
            [[0.2, 0.2, 0.2], [3, 3, 3], [3.86, 3.86, 3.86], [2.14, 2.14, 3.86], [2.14, 3.86, 2.14], [3.86, 2.14, 2.14]],
        ),
        "ozonide in a box": molecule(["K", "O", "O", "O"], [[0.2, 0.2, 0.2], [3, 3, 3], [4.1, 3.7, 3], [1.9, 3.7, 3]]),
        "ammonium chloride in a box": molecule(
            ["Cl", "N", "H", "H", "H", "H"],
            [[0.1, 0.1, 0.1], [2, 2, 2], [2.6, 2.6, 2.6], [1.4, 1.4, 2.6], [1.4, 2.6, 1.4], [2.6, 1.4, 1.4]],
            box=3.9,
        ),
    }
    return crystals


def as_row(structure):
    """The keys under which Temper reads a structure from JSON lines."""
    return {
        "lattice": np.round(structure.lattice.matrix, 9).tolist(),
        "species": [site.specie.symbol for site in structure],
        "frac_coords": np.round(structure.frac_coords, 9).tolist(),
    }
