//! Units that a file may declare, and their factors to eV, angstrom, eV/A, eV/A^3 and muB.

/// What a unit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    Length,
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
const GPA: f64 = 1.0 / 160.217_663_4;

const LENGTHS: [(&str, f64); 3] = [("A", 1.0), ("nm", 10.0), ("bohr", BOHR)];
const ENERGIES: [(&str, f64); 5] =
    [("eV", 1.0), ("meV", 1e-3), ("Ha", HARTREE), ("kJ/mol", KJ_PER_MOL), ("kcal/mol", 4.184 * KJ_PER_MOL)];
const OTHERS: [(&str, Dimension, f64); 4] = [
    ("GPa", Dimension::Pressure, GPA),
    ("kbar", Dimension::Pressure, 0.1 * GPA),
    ("muB", Dimension::Moment, 1.0),
    ("1", Dimension::Number, 1.0),
];

/// The factor that turns a number in `unit` into our unit of the same dimension; `None` if no such unit is known, or it
/// measures something else than `dimension`.
pub(super) fn factor(unit: &str, dimension: Dimension) -> Option<f64> {
    let (found, factor) = parse(unit)?;
    (dimension == found).then_some(factor)
}

/// The unit of energy in `eV/atom` and the like, in eV.
pub(super) fn energy_per_atom(unit: &str) -> Option<f64> {
    factor(unit.strip_suffix("/atom")?, Dimension::Energy)
}

/// What a property in `unit` is multiplied with, and the unit that it has then. A unit that is not known is kept as it is written.
pub(super) fn property(unit: &str) -> (f64, String) {
    if let Some(factor) = energy_per_atom(unit) {
        return (factor, "eV/atom".to_owned());
    }
    let (factor, ours) = match parse(unit) {
        Some((Dimension::Energy, factor)) => (factor, "eV"),
        Some((Dimension::Length, factor)) => (factor, "A"),
        Some((Dimension::Force, factor)) => (factor, "eV/A"),
        Some((Dimension::Pressure, factor)) => (factor, "eV/A^3"),
        Some((Dimension::Moment, factor)) => (factor, "muB"),
        Some((Dimension::Number, factor)) => (factor, "1"),
        None => (1.0, unit),
    };
    (factor, ours.to_owned())
}

fn parse(unit: &str) -> Option<(Dimension, f64)> {
    let unit = &spelt(unit);
    let of =
        |table: &[(&str, f64)], unit: &str| table.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    if let Some(factor) = of(&ENERGIES, unit) {
        return Some((Dimension::Energy, factor));
    }
    if let Some(factor) = of(&LENGTHS, unit) {
        return Some((Dimension::Length, factor));
    }
    if let Some((_, dimension, factor)) = OTHERS.iter().find(|(name, ..)| *name == unit) {
        return Some((*dimension, *factor));
    }
    let (energy, per) = unit.rsplit_once('/')?;
    let energy = of(&ENERGIES, energy)?;
    match per.strip_suffix("^3") {
        Some(length) => Some((Dimension::Pressure, energy / of(&LENGTHS, length)?.powi(3))),
        None => Some((Dimension::Force, energy / of(&LENGTHS, per)?)),
    }
}

/// A unit in our spelling, where it is written in another.
fn spelt(unit: &str) -> String {
    const SPELLINGS: [(&str, &str); 9] = [
        ("angstrom", "A"),
        ("Angstrom", "A"),
        ("\u{c5}", "A"),
        ("\u{212b}", "A"),
        ("hartree", "Ha"),
        ("Hartree", "Ha"),
        ("Bohr", "bohr"),
        ("\u{b3}", "^3"),
        ("**3", "^3"),
    ];
    SPELLINGS.iter().fold(unit.to_owned(), |unit, (other, ours)| unit.replace(other, ours))
}

/// "eV, meV, Ha": the units that `factor` takes.
pub(super) fn names(dimension: Dimension) -> String {
    let list = |table: &[(&str, f64)]| table.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match dimension {
        Dimension::Length => list(&LENGTHS),
        Dimension::Energy => list(&ENERGIES),
        Dimension::Force => "eV/A, Ha/bohr, kJ/mol/nm or another energy per A, nm or bohr".into(),
        Dimension::Pressure => "eV/A^3, GPa, kbar or another energy per A^3, nm^3 or bohr^3".into(),
        Dimension::Moment => "muB".into(),
        Dimension::Number => "1".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_agree_with_tabulated_conversions() {
        // NIST: 1 Ha = 2625.4996 kJ/mol = 627.5095 kcal/mol; 1 Ha/bohr = 51.42206747 eV/A; 1 eV/A^3 = 160.2176634 GPa;
        // 1 Ha/bohr^3 = 29421.016 GPa; 1 eV = 96.48533 kJ/mol, so 1 kJ/mol/nm = 0.001036427 eV/A; 1 GPa = 10 kbar.
        let one = |unit| parse(unit).unwrap().1;
        assert!((one("Ha") / one("kJ/mol") - 2625.4996).abs() < 1e-4);
        assert!((one("Ha") / one("kcal/mol") - 627.5095).abs() < 1e-4);
        assert!((one("Ha/bohr") - 51.422_067_47).abs() < 1e-6);
        assert!((160.217_663_4 * one("GPa") - 1.0).abs() < 1e-12);
        assert!((one("Ha/bohr^3") / one("GPa") - 29_421.016).abs() < 1e-2);
        assert!((one("kJ/mol/nm") - 0.001_036_427).abs() < 1e-9);
        assert!((one("GPa") / one("kbar") - 10.0).abs() < 1e-12);
        assert_eq!((one("nm"), one("meV/A"), one("eV/A^3")), (10.0, 1e-3, 1.0));
        assert_eq!((one("Hartree/Bohr"), one("eV/\u{c5}\u{b3}")), (one("Ha/bohr"), one("eV/A^3")));
    }

    #[test]
    fn a_unit_of_another_dimension_is_refused() {
        for unit in ["eV/A", "ev", "nm", "eV/atom"] {
            assert_eq!(factor(unit, Dimension::Energy), None, "{unit}");
        }
        for unknown in ["eV/eV", "A/A", "eV/", "/A", "eV/A^2", "", "kJ/mol/mol"] {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
        assert!(names(Dimension::Pressure).starts_with("eV/A^3, GPa"));
    }

    #[test]
    fn a_property_may_have_any_unit() {
        let kept = |unit: &str| property(unit) == (1.0, unit.to_owned());
        assert!(["eV/atom", "W/(m K)", "mAh/g", "%", "log10(GPa)", "\u{b5}B/f.u."].into_iter().all(kept));
        assert_eq!(property("meV"), (1e-3, "eV".to_owned()));
        assert_eq!(property("meV/atom"), (1e-3, "eV/atom".to_owned()));
        let (factor, unit) = property("kJ/mol/atom");
        assert!((factor * 96.485_332 - 1.0).abs() < 1e-6 && unit == "eV/atom");
    }
}
