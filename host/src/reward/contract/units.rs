//! Units that a file may declare for its outputs, and their factors to eV, eV/A, eV/A^3 and muB.

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    Energy,
    Force,
    Pressure,
    Moment,
    Number,
}

/// Hartree in eV and Bohr radius in angstrom, CODATA 2022; 1 eV = 96.485 332 12 kJ/mol and 160.217 663 4 GPa A^3 exactly in the SI.
const HARTREE: f64 = 27.211_386_245_981;
const BOHR: f64 = 0.529_177_210_544;
const KJ_PER_MOL: f64 = 1.0 / 96.485_332_123_310_0;

const UNITS: [(&str, Dimension, f64); 12] = [
    ("eV", Dimension::Energy, 1.0),
    ("meV", Dimension::Energy, 1e-3),
    ("Ha", Dimension::Energy, HARTREE),
    ("kJ/mol", Dimension::Energy, KJ_PER_MOL),
    ("kcal/mol", Dimension::Energy, 4.184 * KJ_PER_MOL),
    ("eV/A", Dimension::Force, 1.0),
    ("meV/A", Dimension::Force, 1e-3),
    ("Ha/bohr", Dimension::Force, HARTREE / BOHR),
    ("eV/A^3", Dimension::Pressure, 1.0),
    ("GPa", Dimension::Pressure, 1.0 / 160.217_663_4),
    ("muB", Dimension::Moment, 1.0),
    ("1", Dimension::Number, 1.0),
];

/// The factor that turns a number in `unit` into our unit of the same dimension; `None` if no such unit is known, or it
/// measures something else than `dimension` (any will do where that is `None`).
pub(super) fn factor(unit: &str, dimension: Option<Dimension>) -> Option<f64> {
    let found = UNITS.iter().find(|(name, ..)| *name == unit);
    found.filter(|(_, d, _)| dimension.is_none_or(|wanted| wanted == *d)).map(|(.., factor)| *factor)
}

/// "eV, meV, Ha": the units that `factor` takes.
pub(super) fn names(dimension: Option<Dimension>) -> String {
    let fits = |d: &Dimension| dimension.is_none_or(|wanted| wanted == *d);
    UNITS.iter().filter(|(_, d, _)| fits(d)).map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_agree_with_tabulated_conversions() {
        // NIST: 1 Ha = 2625.4996 kJ/mol = 627.5095 kcal/mol; 1 Ha/bohr = 51.42206747 eV/A; 1 eV/A^3 = 160.2176634 GPa.
        let one = |unit| factor(unit, None).unwrap();
        assert!((one("Ha") / one("kJ/mol") - 2625.4996).abs() < 1e-4);
        assert!((one("Ha") / one("kcal/mol") - 627.5095).abs() < 1e-4);
        assert!((one("Ha/bohr") - 51.422_067_47).abs() < 1e-6);
        assert!((160.217_663_4 * one("GPa") - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_unit_of_another_dimension_is_refused() {
        assert_eq!(factor("eV/A", Some(Dimension::Energy)), None);
        assert_eq!(factor("ev", Some(Dimension::Energy)), None);
        assert_eq!(names(Some(Dimension::Pressure)), "eV/A^3, GPa");
    }
}
