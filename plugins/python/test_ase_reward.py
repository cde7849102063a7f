"""`examples/ase_reward.py` against ASE itself. Without ase in this Python there is nothing to compare with."""

import os
import unittest

from test_temper_worker import CUBE, HERE, TRICLINIC, Worker, batch, crystal, hello

try:
    import ase
    from ase.calculators.emt import EMT
    from ase.calculators.lj import LennardJones
except ImportError:
    ase = None
    print("ase is not installed; ase_reward.py is not compared with it")

EMT_PLACE = "ase.calculators.emt:EMT"
COPPER = ([[3.7, 0.0, 0.1], [0.0, 3.5, 0.0], [0.0, 0.2, 3.6]], [29, 29, 79, 29])
FACES = [[0.0, 0.02, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, -0.03]]
CRYSTALS = [COPPER + (FACES,), crystal(13, 2, TRICLINIC), crystal(28, 1, CUBE)]


def directly(calculator, row):
    lattice, numbers, points = row
    return ase.Atoms(numbers=numbers, scaled_positions=points, cell=lattice, pbc=True, calculator=calculator)


class AseReward(unittest.TestCase):
    def run(self, result=None):
        return super().run(result) if ase else None

    def asked(self, config, rows):
        """What the example answers to a hello with this config and to a batch."""
        with open(os.path.join(HERE, "examples", "ase_reward.py"), encoding="utf-8") as file:
            program = file.read()
        with Worker(program) as worker:
            greeting, _ = worker.ask(hello(config))
            return (greeting,) + (worker.ask(batch(1, rows)) if greeting["type"] == "ready" else ({}, {}))

    def compared(self, config, calculator, value):
        greeting, _, arrays = self.asked(config, CRYSTALS)
        expected = [value(directly(calculator, row)) for row in CRYSTALS]
        self.assertEqual(arrays["statuses"], [0] * len(CRYSTALS))
        for found, wanted in zip(arrays["values"], expected):
            self.assertAlmostEqual(found, wanted, delta=1e-9 * max(1.0, abs(wanted)))
        return greeting["descriptor"]["interfaces"][0]

    def test_emt(self):
        config = {"calculator": EMT_PLACE}
        claims = self.compared(config, EMT(), lambda atoms: atoms.get_potential_energy() / len(atoms))
        self.assertEqual((claims["unit"], claims["elements"], claims["deterministic"]), ("eV/atom", None, True))
        config.update(deterministic=False, property="energy", elements=["Cu", "Au", "Al", "Ni"])
        claims = self.compared(config, EMT(), lambda atoms: atoms.get_potential_energy())
        self.assertEqual((claims["unit"], claims["elements"]), ("eV", [13, 28, 29, 79]))
        self.assertIs(claims["deterministic"], False)

    def test_lennard_jones(self):
        arguments = {"sigma": 2.3, "epsilon": 0.4, "rc": 6.0}
        config = {"calculator": "ase.calculators.lj:LennardJones", "arguments": arguments, "property": "mean_force"}
        calculator = LennardJones(**arguments)

        def mean_length(atoms):
            return sum(sum(x * x for x in force) ** 0.5 for force in atoms.get_forces().tolist()) / len(atoms)

        claims = self.compared(config, calculator, mean_length)
        self.assertEqual(claims["unit"], "eV/A")

    def test_each_crystal_fails_by_itself(self):
        salt, again = crystal(11, 2, TRICLINIC), crystal(11, 2, CUBE)
        _, header, arrays = self.asked({"calculator": EMT_PLACE}, [CRYSTALS[0], salt, again, CRYSTALS[1]])
        self.assertEqual(arrays["statuses"], [0, 2, 2, 0])
        self.assertEqual(len(header["reasons"]), 2)
        for reason in header["reasons"]:
            self.assertRegex(reason, "^NotImplementedError: No EMT-potential for Na ")
        for row, value in ((0, arrays["values"][0]), (1, arrays["values"][3])):
            wanted = directly(EMT(), CRYSTALS[row]).get_potential_energy() / len(CRYSTALS[row][1])
            self.assertAlmostEqual(value, wanted, delta=1e-9)

    def test_configs_that_are_refused(self):
        cases = {
            "": 'calculator = "module:name" expected, such as "ase.calculators.emt:EMT"; found None',
            "ase.calculators.emt": "module:name",
            "no_such_module:X": "no calculator no_such_module:X: No module named 'no_such_module'",
            "ase.calculators.emt:EMTT": "has no attribute 'EMTT'",
        }
        for place, message in cases.items():
            with self.subTest(place):
                greeting, _, _ = self.asked({"calculator": place} if place else {}, [])
                self.assertEqual(greeting["type"], "error")
                self.assertIn(message, greeting["message"])
        more = {
            "no property `stress`; there are energy_per_atom, energy, mean_force": {"property": "stress"},
            "unknown key `propertie`; the nearest is `property`": {"propertie": "energy"},
            "no element `Q`": {"elements": ["Cu", "Q"]},
        }
        for message, config in more.items():
            with self.subTest(message):
                greeting, _, _ = self.asked(dict(config, calculator=EMT_PLACE), [])
                self.assertEqual((greeting["type"], greeting["message"]), ("error", "config: " + message))


if __name__ == "__main__":
    unittest.main()
