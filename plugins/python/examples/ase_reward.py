"""Any calculator of ASE as a reward: for potentials that are not, or cannot be, ONNX files.

    [rewards.energy.process]
    command = ["python3", "ase_reward.py"]
    config = { calculator = "mace.calculators:mace_mp", arguments = { model = "small", device = "cpu" } }

calculator     where it is, as module:name of a class or function
arguments      what it is called with, a table; none unless given
property       energy_per_atom (eV/atom; the default), energy (eV per cell) or mean_force (mean |F| of the atoms, eV/A)
elements       symbols of the elements that it knows; asked of the calculator unless given, all if it does not tell
deterministic  whether it gives the same bits each time, which few do on a GPU; true unless given

Needs ase and whatever the calculator needs, in the Python that runs this file.
"""

import importlib

from temper_worker import Failed, Reward, refuse_unknown_keys, serve

# For each property its unit, and what ASE calls the quantity that it comes from.
PROPERTIES = {"energy_per_atom": ("eV/atom", "energy"), "energy": ("eV", "energy"), "mean_force": ("eV/A", "forces")}


class AseReward(Reward):
    """A property from an ASE calculator."""

    version = "1.0"
    licence = "MIT OR Apache-2.0"

    def __init__(self, config):
        refuse_unknown_keys(config, ("calculator", "arguments", "property", "elements", "deterministic"))
        # Imported here and not above: what libraries print before `serve` would reach Temper.
        from ase import Atoms

        self.make_atoms = Atoms
        self.property = config.get("property", "energy_per_atom")
        if self.property not in PROPERTIES:
            raise Failed("config: no property `%s`; there are %s" % (self.property, ", ".join(PROPERTIES)))
        self.unit, quantity = PROPERTIES[self.property]
        self.deterministic = config.get("deterministic", True)
        self.calculator = find(config.get("calculator"))(**config.get("arguments", {}))
        given = getattr(self.calculator, "implemented_properties", [quantity])
        if quantity not in given:
            raise Failed("config: %s gives %s, not %s" % (config["calculator"], ", ".join(given), quantity))
        self.elements = numbers(config["elements"]) if "elements" in config else known_elements(self.calculator)

    def score_one(self, crystal):
        atoms = self.make_atoms(
            numbers=crystal.atomic_numbers.tolist(),
            positions=crystal.cartesian,
            cell=crystal.lattice,
            pbc=True,
            calculator=self.calculator,
        )
        try:
            if self.property == "mean_force":
                return ((atoms.get_forces() ** 2).sum(axis=1) ** 0.5).mean()
            energy = atoms.get_potential_energy()
        except Exception:
            self.calculator.reset()  # it may have kept half of this crystal
            raise
        return energy / len(crystal) if self.property == "energy_per_atom" else energy


def find(place):
    """The class or function at `module:name`."""
    module, _, name = str(place).partition(":")
    if not name:
        raise Failed('config: calculator = "module:name" expected, such as "ase.calculators.emt:EMT"; found %r' % place)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise Failed("config: no calculator %s: %s" % (place, error)) from error


def numbers(symbols):
    """Atomic numbers of chemical symbols."""
    from ase.data import atomic_numbers

    for symbol in symbols:
        if symbol not in atomic_numbers:
            raise Failed("config: no element `%s`" % symbol)
    return [atomic_numbers[symbol] for symbol in symbols]


def known_elements(calculator):
    """Atomic numbers, or None; ASE has no rule for it, MACE has a table."""
    table = getattr(calculator, "z_table", None)
    return None if table is None else list(table.zs)


serve(AseReward)
