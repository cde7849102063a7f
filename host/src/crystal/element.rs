//! Chemical elements by atomic number.

use serde::{Deserialize, Serialize};

/// An element, held as its atomic number 1..=118.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Element(u8);

/// Noble gases.
pub const NOBLE_GASES: [u8; 6] = [2, 10, 18, 36, 54, 86];

/// Elements without a stable or primordial isotope: Tc, Pm and everything from Po on except Th, Pa and U
/// (the set that CrystalFormer calls radioactive is wider: it takes Th, Pa and U too, and so do we).
pub const RADIOACTIVE: [u8; 37] = [
    43, 61, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107,
    108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118,
];

const SYMBOLS: [&str; 118] = [
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca",
    "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",
    "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce",
    "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir",
    "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm",
    "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc",
    "Lv", "Ts", "Og",
];

impl Element {
    /// The element of an atomic number, if it is 1..=118.
    pub fn from_number(z: u8) -> Option<Self> {
        (1..=118).contains(&z).then_some(Self(z))
    }

    /// The element of a symbol such as `Li` (exact case).
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        let index = SYMBOLS.iter().position(|s| *s == symbol)?;
        Self::from_number(index as u8 + 1)
    }

    /// The element of a symbol, hydrogen for its isotopes `D` and `T`.
    pub fn from_symbol_or_isotope(symbol: &str) -> Option<Self> {
        Self::from_symbol(if matches!(symbol, "D" | "T") { "H" } else { symbol })
    }

    /// The element of a species as pymatgen writes it: a symbol, perhaps with an oxidation state and a spin, such as `Fe3+`,
    /// `O2-`, `Na+`, `Co2.5+`, `Ni2+,spin=5` or `D`.
    pub fn from_species(species: &str) -> Option<Self> {
        let letters = species.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (symbol, state) = species.split_at(letters);
        let (state, spin) = state.split_once("spin=").unwrap_or((state, "0"));
        let state = state.strip_suffix(',').unwrap_or(state);
        let plain = state.bytes().all(|c| matches!(c, b'0'..=b'9' | b'.' | b'+' | b'-'));
        if plain && spin.parse::<f64>().is_ok() { Self::from_symbol_or_isotope(symbol) } else { None }
    }

    /// Atomic number, 1..=118.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Symbol, such as `Li`.
    pub fn symbol(self) -> &'static str {
        SYMBOLS[usize::from(self.0) - 1]
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.symbol())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_and_numbers_are_one_to_one() {
        for z in 1..=118 {
            let element = Element::from_number(z).unwrap();
            assert_eq!(Element::from_symbol(element.symbol()), Some(element));
        }
        assert_eq!(Element::from_symbol("Fe").unwrap().number(), 26);
        assert_eq!(Element::from_symbol("Og").unwrap().number(), 118);
        assert!(Element::from_number(0).is_none() && Element::from_number(119).is_none());
        assert!(Element::from_symbol("fe").is_none());
    }

    #[test]
    fn species_of_pymatgen() {
        let species = ["Fe", "Fe3+", "O2-", "Na+", "Co2.5+", "Ni2+,spin=5", "Ni2+spin=-5", "D", "D+", "T"];
        let symbols = ["Fe", "Fe", "O", "Na", "Co", "Ni", "Ni", "H", "H", "H"];
        for (species, symbol) in species.into_iter().zip(symbols) {
            assert_eq!(Element::from_species(species).map(Element::symbol), Some(symbol), "{species}");
        }
        for no_element in ["", "X", "Xx2+", "3+", "Fe3+,spin=", "Fe3+,spin=up", "Fe_pv", "fe", "F\u{e9}"] {
            assert_eq!(Element::from_species(no_element), None, "{no_element}");
        }
    }
}
