"""The smallest complete reward: mass per volume.

    [rewards.density.process]
    command = ["python3", "density.py"]
"""

from temper_worker import Reward, serve

# Standard atomic weights of H to Kr, g/mol.
WEIGHTS = [
    1.008, 4.0026, 6.94, 9.0122, 10.81, 12.011, 14.007, 15.999, 18.998, 20.180, 22.990, 24.305,
    26.982, 28.085, 30.974, 32.06, 35.45, 39.95, 39.098, 40.078, 44.956, 47.867, 50.942, 51.996,
    54.938, 55.845, 58.933, 58.693, 63.546, 65.38, 69.723, 72.630, 74.922, 78.971, 79.904, 83.798,
]  # fmt: skip


class Density(Reward):
    """Mass per volume of the cell."""

    version = "1.0"
    unit = "g/cm^3"
    elements = range(1, len(WEIGHTS) + 1)  # Temper fails crystals with others by itself

    def score_one(self, crystal):
        mass = sum(WEIGHTS[number - 1] for number in crystal.atomic_numbers)
        return mass * 1.66053906660 / crystal.volume  # g/mol per A^3


serve(Density)
