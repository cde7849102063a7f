//! Elements as files spell them.

use super::super::Element;
use super::record::{RowError, excerpt};

/// The element of a symbol that may carry an oxidation state: `Fe`, `FE`, `Fe3+`, `O2-`, `Fe(3+)`, `Fe(III)`; `D` is
/// hydrogen, `Cval` and `Siva` are scattering types of valence electrons.
pub(super) fn from_symbol(text: &str) -> Result<Element, RowError> {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (symbol, charge) = text.split_at(letters);
    let inner = charge.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let is_charge = match inner {
        Some(inner) => inner.bytes().all(|c| c.is_ascii_digit() || b"+-.IVX".contains(&c)),
        None => charge.bytes().all(|c| c.is_ascii_digit() || b"+-.".contains(&c)),
    };
    let stem = || symbol.strip_suffix("val").or_else(|| symbol.strip_suffix("va"));
    match from_letters(symbol).or_else(|| from_letters(stem()?)) {
        Some(element) if is_charge => Ok(element),
        _ => match missing_atoms(text) {
            Some(missing) => Err(RowError::Group { site: excerpt(text), missing }),
            None => Err(RowError::element(text)),
        },
    }
}

/// The element of a site's label: a symbol, then nothing but a number, a charge or a suffix, as in `Fe1`, `O1A`, `OW2`,
/// `Na(1)`, `Fe3+`. Labels that can be read in two ways are refused: `CA1`, unless one of the two is among the elements of
/// the file's `formula` and the other is not, and `T1` (a tetrahedron) or `Va1` (a vacancy).
pub(super) fn from_label(text: &str, formula: &[Element]) -> Result<Element, RowError> {
    if is_water(text)
        && let Some(oxygen) = from_letters("O")
    {
        return Ok(oxygen);
    }
    if let Some(missing) = missing_atoms(text) {
        return Err(RowError::Group { site: excerpt(text), missing });
    }
    let error = || RowError::Label { label: excerpt(text) };
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (letters, rest) = text.split_at(letters);
    if !is_suffix(rest) {
        return Err(error());
    }
    // The hydrogen of water.
    let letters = letters.strip_suffix('w').filter(|stem| matches!(*stem, "H" | "D")).unwrap_or(letters);
    let long = letters.get(..2).and_then(from_letters);
    let short = letters.get(..1).filter(|short| !matches!(*short, "T" | "t")).and_then(from_letters);
    let is_vacancy = letters.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("va"));
    let is_suffix = |from: usize| letters.bytes().skip(from).all(|c| c.is_ascii_uppercase());
    let second_is_lower = letters.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase);
    match (long, short) {
        _ if is_vacancy => Err(error()),
        (Some(element), _) if second_is_lower && is_suffix(2) => Ok(element),
        _ if !is_suffix(1) => Err(error()),
        (Some(one), Some(other)) => match [one, other].map(|element| formula.contains(&element)) {
            [true, false] => Ok(one),
            [false, true] => Ok(other),
            _ => Err(RowError::Element {
                found: format!("{text:?}: it can be {one} or {other}; give _atom_site_type_symbol"),
            }),
        },
        (Some(element), None) | (None, Some(element)) => Ok(element),
        (None, None) => Err(error()),
    }
}

/// What may follow the letters of a label: digits and letters behind them, a charge, brackets, primes.
fn is_suffix(rest: &str) -> bool {
    let plain = rest.chars().all(|c| c.is_ascii_alphanumeric() || "_()[]'\"*+-.#".contains(c));
    let charge = rest.strip_prefix(['+', '-']);
    plain && charge.is_none_or(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Whether a label means the oxygen of a water molecule: `Wat1`, `Ow`, `OW2`.
pub(super) fn is_water(label: &str) -> bool {
    let start = |length: usize| label.get(..length).unwrap_or_default();
    let ends = |length: usize| label.bytes().skip(length).all(|c| !c.is_ascii_alphabetic());
    (start(3).eq_ignore_ascii_case("wat") && ends(3)) || (matches!(start(2), "Ow" | "OW") && ends(2))
}

/// The atoms that a label for several of them implies: `OH`, `H2O1`, `NH4`, `SO4`.
fn missing_atoms(label: &str) -> Option<&'static str> {
    const WITH_HYDROGEN: [&str; 14] =
        ["H2O", "H3O", "D2O", "O-H", "OH", "OD", "NH", "ND", "CH", "BH", "PH", "SH", "WATER", "HYDROXYL"];
    const WITH_OXYGEN: [&str; 9] = ["NO2", "NO3", "SO3", "SO4", "PO4", "CO2", "CO3", "CLO3", "CLO4"];
    let label = label.to_ascii_uppercase();
    let starts_with = |group: &&str| {
        let rest = label.strip_prefix(*group);
        let may_go_on = group.ends_with("2O") || group.ends_with("3O");
        rest.is_some_and(|rest| may_go_on || !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    if WITH_HYDROGEN.iter().any(starts_with) {
        return Some("hydrogen");
    }
    WITH_OXYGEN.iter().any(starts_with).then_some("oxygen")
}

/// The element of an atomic number.
pub(super) fn from_number(text: &str) -> Result<Element, RowError> {
    text.parse().ok().and_then(Element::from_number).ok_or_else(|| RowError::element(text))
}

fn from_letters(letters: &str) -> Option<Element> {
    let mut symbol = letters.to_ascii_lowercase();
    symbol.get_mut(..1)?.make_ascii_uppercase();
    match symbol.as_str() {
        "D" | "T" => Element::from_symbol("H"),
        symbol => Element::from_symbol(symbol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_with_charges() {
        for (text, symbol) in [
            ("Fe", "Fe"),
            ("FE", "Fe"),
            ("Fe3+", "Fe"),
            ("O2-", "O"),
            ("Cl-1", "Cl"),
            ("D", "H"),
            ("Fe(3+)", "Fe"),
            ("Fe(III)", "Fe"),
            ("Cval", "C"),
            ("Siva", "Si"),
            ("O--", "O"),
        ] {
            assert_eq!(from_symbol(text).unwrap().symbol(), symbol);
        }
        for text in ["", "Xx", "3+", "Fe_pv", "Feo", "\u{e9}", "F\u{e9}", "Fe(a)", "val", "OH", "Fe(3+"] {
            assert!(from_symbol(text).is_err(), "{text}");
        }
    }

    #[test]
    fn labels() {
        for (text, symbol) in [
            ("Fe1", "Fe"),
            ("O1A", "O"),
            ("OW2", "O"),
            ("Ow", "O"),
            ("Hw1", "H"),
            ("Wat1", "O"),
            ("Na", "Na"),
            ("ZR1", "Zr"),
            ("TI2", "Ti"),
            ("O", "O"),
            ("D1", "H"),
            ("o2", "O"),
            ("na1", "Na"),
            ("SiT1", "Si"),
            ("OBM", "O"),
            ("Fe3+", "Fe"),
            ("O2-", "O"),
            ("Na(1)", "Na"),
            ("O1'", "O"),
            ("Fe_1", "Fe"),
            ("V1", "V"),
            ("W2", "W"),
            ("H1B", "H"),
        ] {
            assert_eq!(from_label(text, &[]).unwrap().symbol(), symbol, "{text}");
        }
        let refused = |label: &str| from_label(label, &[]).unwrap_err().to_string();
        assert_eq!(refused("CA1"), "unknown element \"CA1\": it can be Ca or C; give _atom_site_type_symbol");
        for text in
            ["", "1", "Q1", "\u{e9}", "T1", "T", "Va1", "VA", "Vac", "Cg1", "Cnt1", "Oa1", "Fe/Mg", "AlSi1", "O-a", "M"]
        {
            let expected = format!("no element is certain from the site label {text:?}: give _atom_site_type_symbol");
            assert_eq!(refused(text), expected);
        }
        for text in ["OH", "OH1", "Oh", "O-H", "H2O1", "H2O", "NH4", "CH3"] {
            let expected = format!("site {text:?} stands for several atoms, hydrogen among them without coordinates");
            assert_eq!(refused(text), expected);
        }
        assert!(refused("SO4").contains("oxygen among them"));
        let formula = |symbols: &[&str]| symbols.iter().map(|s| Element::from_symbol(s).unwrap()).collect::<Vec<_>>();
        for (label, symbols, read) in [
            ("CA1", &["Ca", "O"][..], Some("Ca")),
            ("CA1", &["C", "O"], Some("C")),
            ("CA1", &["C", "Ca"], None),
            ("CA1", &["O"], None),
            ("NA2B", &["Na", "Cl"], Some("Na")),
            ("CL1A", &["Na", "Cl"], Some("Cl")),
            // What is certain by itself stays as it is.
            ("Ca1", &["C"], Some("Ca")),
            ("OW2", &["W"], Some("O")),
        ] {
            assert_eq!(from_label(label, &formula(symbols)).ok().map(Element::symbol), read, "{label} {symbols:?}");
        }
    }
}
