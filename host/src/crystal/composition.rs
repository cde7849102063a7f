//! What a crystal is made of: elements with amounts, from a structure or a chemical formula.
//!
//! [`Composition::reduced_formula`] spells formulas as pymatgen does, so that names can be compared between programs.

use std::fmt;
use std::str::FromStr;

use super::{Element, Structure};

/// Amounts up to this are absence, and amounts this near to an integer are that integer (pymatgen's `amount_tolerance`).
const AMOUNT_TOLERANCE: f64 = 1e-8;

/// Largest amount of an element, so that sums and products of amounts stay exact or at least finite.
const LARGEST_AMOUNT: f64 = 1e9;

/// Longest formula that is read, bytes.
const LONGEST_FORMULA: usize = 4096;

/// Yttrium and the lanthanides.
const RARE_EARTHS: [u8; 16] = [39, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71];

/// Elements with their amounts (atoms in whatever unit was given: a cell, a formula unit), ascending in atomic number,
/// each amount finite and above 1e-8; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Composition {
    amounts: Vec<(Element, f64)>,
}

/// Why a text or a list of amounts is no composition.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompositionError {
    /// No element with a positive amount.
    #[error("the composition is empty")]
    Empty,
    /// A symbol that is no element.
    #[error("`{symbol}` in `{formula}` is not an element")]
    UnknownElement {
        /// The symbol as written.
        symbol: String,
        /// The whole formula.
        formula: String,
    },
    /// A character that formulas do not have at this place.
    #[error("unexpected `{found}` at character {position} of the formula `{formula}`")]
    Unexpected {
        /// The character.
        found: char,
        /// Its place, from 1.
        position: usize,
        /// The whole formula.
        formula: String,
    },
    /// Brackets that do not pair up.
    #[error("unpaired or empty brackets in the formula `{formula}`")]
    Brackets {
        /// The whole formula.
        formula: String,
    },
    /// A negative, infinite or absurdly large amount.
    #[error("the amount {amount:?} of {element} is not between 0 and {LARGEST_AMOUNT:e}")]
    Amount {
        /// Whose amount.
        element: Element,
        /// The amount.
        amount: f64,
    },
    /// A text too long for a formula.
    #[error("a formula of {bytes} bytes is too long (at most {LONGEST_FORMULA})")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Composition {
    /// Sums the amounts of each element. An amount of at most 1e-8 is absence.
    ///
    /// # Errors
    /// [`CompositionError::Amount`] for a negative, non-finite or too large amount, `Empty` when nothing is left.
    pub fn new(amounts: impl IntoIterator<Item = (Element, f64)>) -> Result<Self, CompositionError> {
        let mut merged: Vec<(Element, f64)> = Vec::new();
        for (element, amount) in amounts {
            if !(0.0..=LARGEST_AMOUNT).contains(&amount) {
                return Err(CompositionError::Amount { element, amount });
            }
            match merged.binary_search_by_key(&element, |(e, _)| *e) {
                Ok(i) => merged[i].1 += amount,
                Err(i) => merged.insert(i, (element, amount)),
            }
        }
        merged.retain(|(_, amount)| *amount > AMOUNT_TOLERANCE);
        match merged.iter().find(|(_, amount)| *amount > LARGEST_AMOUNT) {
            Some(&(element, amount)) => Err(CompositionError::Amount { element, amount }),
            None if merged.is_empty() => Err(CompositionError::Empty),
            None => Ok(Self { amounts: merged }),
        }
    }

    /// Atoms per cell of a structure.
    ///
    /// # Errors
    /// [`CompositionError::Empty`] for a structure without atoms, which [`Structure::new`] does not make.
    pub fn of_structure(structure: &Structure) -> Result<Self, CompositionError> {
        Self::new(structure.species.iter().map(|element| (*element, 1.0)))
    }

    /// The same with lanthanum in place of yttrium and of every lanthanide: elements that replace one another in crystals, with
    /// hardly a change in energy.
    pub fn with_rare_earths_merged(&self) -> Self {
        let merged = |element: &Element| RARE_EARTHS.contains(&element.number());
        let (rare_earths, mut amounts): (Vec<_>, Vec<_>) =
            self.amounts.iter().partition(|(element, _)| merged(element));
        if let Some(lanthanum) = Element::from_number(57).filter(|_| !rare_earths.is_empty()) {
            let place = amounts.partition_point(|(element, _)| *element < lanthanum);
            amounts.insert(place, (lanthanum, rare_earths.iter().map(|(_, amount)| amount).sum()));
        }
        Self { amounts }
    }

    /// Elements and amounts, ascending in atomic number.
    pub fn amounts(&self) -> &[(Element, f64)] {
        &self.amounts
    }

    /// The elements, ascending in atomic number.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = Element> + '_ {
        self.amounts.iter().map(|(element, _)| *element)
    }

    /// Sum of the amounts.
    pub fn num_atoms(&self) -> f64 {
        self.amounts.iter().map(|(_, amount)| amount).sum()
    }

    /// Elements and atomic fractions (which sum to 1), ascending in atomic number.
    pub fn fractions(&self) -> impl ExactSizeIterator<Item = (Element, f64)> + '_ {
        let total = self.num_atoms();
        self.amounts.iter().map(move |(element, amount)| (*element, amount / total))
    }

    /// The chemical system, such as `Co-Li-O`: symbols in alphabetical order.
    pub fn system(&self) -> String {
        let mut symbols: Vec<_> = self.elements().map(Element::symbol).collect();
        symbols.sort_unstable();
        symbols.join("-")
    }

    /// The formula in lowest terms as pymatgen's `reduced_formula` has it: elements ascending in electronegativity (then
    /// alphabetically), the last two of three or more in brackets where they share a factor and differ by less than 1.65
    /// (`Ca(NO3)2`), diatomic gases as molecules (`O2`), and the peroxides of H, Li, Na, K, Rb, Cs doubled (`Li2O2`).
    /// Where amounts are no integers nothing is reduced and ones are written (`Li0.5Co1O2`).
    pub fn reduced_formula(&self) -> String {
        let mut amounts = self.amounts.clone();
        amounts.sort_by(|(a, _), (b, _)| {
            electronegativity(*a).total_cmp(&electronegativity(*b)).then(a.symbol().cmp(b.symbol()))
        });
        let Some(integers) = integer_amounts(&amounts) else {
            return amounts.iter().map(|(element, amount)| format!("{element}{}", decimals(*amount))).collect();
        };
        let formula = lowest_terms(&integers);
        match formula.as_str() {
            "H" | "N" | "O" | "F" | "Cl" => format!("{formula}2"),
            "HO" | "LiO" | "NaO" | "KO" | "RbO" | "CsO" => format!("{}2O2", &formula[..formula.len() - 1]),
            _ => formula,
        }
    }
}

/// The amounts as given, such as `Li2 Fe1 O3`, ascending in atomic number.
impl fmt::Display for Composition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (element, amount)) in self.amounts.iter().enumerate() {
            write!(f, "{}{element}{amount}", if i > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

/// Reads a formula: symbols and brackets `()`, `[]`, `{}`, nested at will, each followed by an optional decimal count;
/// blanks between them; deuterium and tritium (`D`, `T`) as hydrogen; and adducts such as `CuSO4·5H2O` (with `·` or `*`: a full stop is a decimal point).
impl FromStr for Composition {
    type Err = CompositionError;

    fn from_str(formula: &str) -> Result<Self, CompositionError> {
        Self::new(read_formula(formula, Element::from_symbol_or_isotope)?)
    }
}

/// Symbols and amounts of a formula, as often as they occur in it; `symbol` says what a capital with the small letters after it
/// stands for.
pub(super) fn read_formula<S>(formula: &str, symbol: fn(&str) -> Option<S>) -> Result<Vec<(S, f64)>, CompositionError> {
    if formula.len() > LONGEST_FORMULA {
        return Err(CompositionError::TooLong { bytes: formula.len() });
    }
    let mut amounts = Vec::new();
    let mut rest = Scanner { formula, position: 0, symbol };
    loop {
        rest.skip_blanks();
        let factor = rest.number()?.unwrap_or(1.0);
        amounts.extend(rest.part()?.into_iter().map(|(symbol, amount)| (symbol, amount * factor)));
        if rest.next_char().is_none() {
            return Ok(amounts);
        }
    }
}

/// Where a formula is being read.
struct Scanner<'a, S> {
    formula: &'a str,
    position: usize,
    symbol: fn(&str) -> Option<S>,
}

impl<S> Scanner<'_, S> {
    /// Everything up to an adduct's dot or the end. Open brackets wait on a stack of our own, so depth costs no call stack.
    fn part(&mut self) -> Result<Vec<(S, f64)>, CompositionError> {
        let mut open: Vec<(char, usize)> = Vec::new();
        let mut amounts: Vec<(S, f64)> = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                None | Some('·' | '*') if !amounts.is_empty() && open.is_empty() => return Ok(amounts),
                Some(c @ ('(' | '[' | '{')) => {
                    self.next_char();
                    open.push((c, amounts.len()));
                }
                Some(c @ (')' | ']' | '}')) => {
                    self.next_char();
                    let start = open.pop().filter(|(o, start)| paired(*o, c) && *start < amounts.len());
                    let (_, start) = start.ok_or_else(|| self.brackets())?;
                    self.multiply(&mut amounts[start..])?;
                }
                Some(c) if c.is_ascii_uppercase() => {
                    let symbol = self.symbol()?;
                    amounts.push((symbol, 1.0));
                    let last = amounts.len() - 1;
                    self.multiply(&mut amounts[last..])?;
                }
                Some(found) => {
                    let position = self.formula[..self.position].chars().count() + 1;
                    return Err(CompositionError::Unexpected { found, position, formula: self.formula.into() });
                }
                None if open.is_empty() => return Err(CompositionError::Empty),
                None => return Err(self.brackets()),
            }
        }
    }

    /// A symbol: a capital and the small letters after it.
    fn symbol(&mut self) -> Result<S, CompositionError> {
        let tail = &self.formula[self.position..];
        let letters = 1 + tail.bytes().skip(1).take_while(u8::is_ascii_lowercase).count();
        self.position += letters;
        (self.symbol)(&tail[..letters]).ok_or_else(|| CompositionError::UnknownElement {
            symbol: tail[..letters].into(),
            formula: self.formula.into(),
        })
    }

    /// Multiplies the amounts by the count that follows, if one does.
    fn multiply(&mut self, amounts: &mut [(S, f64)]) -> Result<(), CompositionError> {
        if let Some(factor) = self.number()? {
            amounts.iter_mut().for_each(|(_, amount)| *amount *= factor);
        }
        Ok(())
    }

    /// A decimal number without sign or exponent, if one stands here.
    fn number(&mut self) -> Result<Option<f64>, CompositionError> {
        let tail = &self.formula[self.position..];
        let digits = tail.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        if digits == 0 {
            return Ok(None);
        }
        let number = tail[..digits].parse().map_err(|_| CompositionError::Unexpected {
            found: '.',
            position: self.formula[..self.position].chars().count() + 1,
            formula: self.formula.into(),
        })?;
        self.position += digits;
        Ok(Some(number))
    }

    fn brackets(&self) -> CompositionError {
        CompositionError::Brackets { formula: self.formula.into() }
    }

    fn peek(&self) -> Option<char> {
        self.formula[self.position..].chars().next()
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        Some(c)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|c| c == ' ') {
            self.position += 1;
        }
    }
}

fn paired(open: char, close: char) -> bool {
    matches!((open, close), ('(', ')') | ('[', ']') | ('{', '}'))
}

/// The amounts as integers, if they all are.
fn integer_amounts(amounts: &[(Element, f64)]) -> Option<Vec<(Element, u64)>> {
    amounts
        .iter()
        .map(|(element, amount)| {
            let nearest = amount.round();
            ((amount - nearest).abs() <= AMOUNT_TOLERANCE && nearest >= 1.0).then_some((*element, nearest as u64))
        })
        .collect()
}

/// Integer amounts, ordered, divided by their common factor and written with the last two in brackets where that shortens.
fn lowest_terms(amounts: &[(Element, u64)]) -> String {
    let factor = common_factor(amounts);
    let reduced: Vec<_> = amounts.iter().map(|(element, n)| (*element, n / factor)).collect();
    let write = |part: &[(Element, u64)], factor: u64| -> String {
        part.iter().map(|(element, n)| format!("{element}{}", count(n / factor))).collect()
    };
    if let [.., (a, _), (b, _)] = reduced[..]
        && reduced.len() > 2
        && electronegativity(b) - electronegativity(a) < 1.65
    {
        let (cations, anion) = reduced.split_at(reduced.len() - 2);
        let shared = common_factor(anion);
        if shared > 1 {
            return format!("{}({}){shared}", write(cations, 1), write(anion, shared));
        }
    }
    write(&reduced, 1)
}

fn common_factor(amounts: &[(Element, u64)]) -> u64 {
    let gcd = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    amounts.iter().fold(0, |factor, (_, n)| gcd(factor, *n)).max(1)
}

/// A count as formulas write it: nothing for one.
fn count(n: u64) -> String {
    if n == 1 { String::new() } else { n.to_string() }
}

/// An amount with at most eight decimals.
fn decimals(amount: f64) -> f64 {
    (amount * 1e8).round() / 1e8
}

/// Pauling electronegativity, with elements that have none last.
pub(super) fn electronegativity(element: Element) -> f64 {
    let value = ELECTRONEGATIVITIES.get(usize::from(element.number()) - 1).copied().unwrap_or(0.0);
    if value > 0.0 { value } else { f64::INFINITY }
}

/// Pauling electronegativities of H to Lr, 0 where there is none: the values that pymatgen orders formulas by.
#[rustfmt::skip]
const ELECTRONEGATIVITIES: [f64; 103] = [
    2.20, 0.0,
    0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, 0.0,
    0.93, 1.31, 1.61, 1.90, 2.19, 2.58, 3.16, 0.0,
    0.82, 1.00, 1.36, 1.54, 1.63, 1.66, 1.55, 1.83, 1.88, 1.91, 1.90, 1.65, 1.81, 2.01, 2.18, 2.55, 2.96, 3.00,
    0.82, 0.95, 1.22, 1.33, 1.60, 2.16, 1.90, 2.20, 2.28, 2.20, 1.93, 1.69, 1.78, 1.96, 2.05, 2.10, 2.66, 2.60,
    0.79, 0.89,
    1.10, 1.12, 1.13, 1.14, 1.13, 1.17, 1.20, 1.20, 1.10, 1.22, 1.23, 1.24, 1.25, 1.10, 1.27,
    1.30, 1.50, 2.36, 1.90, 2.20, 2.20, 2.28, 2.54, 2.00, 1.62, 2.33, 2.02, 2.00, 2.20, 2.20,
    0.70, 0.90,
    1.10, 1.30, 1.50, 1.38, 1.36, 1.28, 1.30, 1.30, 1.30, 1.30, 1.30, 1.30, 1.30, 1.30, 1.30,
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(formula: &str) -> Composition {
        formula.parse().unwrap()
    }

    #[test]
    fn formulas_are_read() {
        for (formula, amounts) in [
            ("LiFePO4", "Li1 O4 P1 Fe1"),
            ("Ca3(PO4)2", "O8 P2 Ca3"),
            ("K4[Fe(CN)6]", "C6 N6 K4 Fe1"),
            ("Fe2 O3", "O3 Fe2"),
            ("Li0.5CoO2", "Li0.5 O2 Co1"),
            ("CuSO4·5H2O", "H10 O9 S1 Cu1"),
            ("CuSO4 * 5H2O", "H10 O9 S1 Cu1"),
            ("CoCO", "C1 O1 Co1"),
            ("Fe0O1", "O1"),
        ] {
            assert_eq!(parse(formula).to_string(), amounts, "{formula}");
        }
        let deep = format!("{}H{}", "(".repeat(1500), ")".repeat(1500));
        assert_eq!(parse(&deep).to_string(), "H1");
    }

    #[test]
    fn hostile_formulas_are_refused() {
        use CompositionError as E;
        let error = |formula: &str| formula.parse::<Composition>().unwrap_err();
        for formula in ["", "  ", "Fe0"] {
            assert_eq!(error(formula), E::Empty, "{formula}");
        }
        for formula in ["(Fe", "Fe)", "(Fe]", "Fe()2", "[[Fe]"] {
            assert!(matches!(error(formula), E::Brackets { .. }), "{formula}");
        }
        for formula in ["fe", "Fe3+", "Fe-O", "3·Fe", "Fe2..5", "Fe₂", "Fe\n", "·Fe"] {
            assert!(matches!(error(formula), E::Unexpected { .. }), "{formula}: {:?}", error(formula));
        }
        assert_eq!(error("FeXx2").to_string(), "`Xx` in `FeXx2` is not an element");
        assert!(matches!(error("Fe9999999999"), E::Amount { .. }));
        assert!(matches!(error(&format!("Fe1{}", "0".repeat(400))), E::Amount { .. }));
        assert!(matches!(error(&"(".repeat(5000)), E::TooLong { .. }));
        let iron = Element::from_symbol("Fe").unwrap();
        assert!(matches!(Composition::new([(iron, f64::NAN)]), Err(E::Amount { .. })));
        assert!(matches!(Composition::new([(iron, -1.0)]), Err(E::Amount { .. })));
    }

    /// Spellings by pymatgen 2026.10.16.
    #[test]
    fn reduced_formulas_are_spelled_as_pymatgen_does() {
        for (formula, reduced) in [
            ("O4PFeLi", "LiFePO4"),
            ("Cd2H12C2I6N6", "CdH6C(IN)3"),
            ("O2Li2", "Li2O2"),
            ("H8O8", "H2O2"),
            ("O7", "O2"),
            ("Fe4", "Fe"),
            ("C8O64S8Cr4Li9", "Li9Cr4C8(SO8)8"),
            ("Li0.5CoO2", "Li0.5Co1O2"),
            ("Xe2F4", "XeF2"),
            ("He2Na4", "Na2He"),
            ("C60", "C"),
        ] {
            assert_eq!(parse(formula).reduced_formula(), reduced);
        }
    }

    #[test]
    fn every_formula_of_the_table_is_spelled_alike() {
        let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into();
        let shared = std::env::var_os("TEMPER_SHARED").map_or_else(beside, std::path::PathBuf::from);
        let Ok(file) = std::fs::File::open(shared.join("data/mp_20/hull_entries.csv.gz")) else {
            return println!("skipped: no shared data at {}", shared.display());
        };
        let mut reader = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
        let mut rows = 0;
        for row in reader.records() {
            let row = row.unwrap();
            let written = parse(&row[0]).reduced_formula();
            // Elements stand in that table by symbol, so diatomic gases differ.
            assert!(written == row[0] || &row[2] == "element", "{written} instead of {}", &row[0]);
            rows += 1;
        }
        assert_eq!(rows, 41_254);
    }

    proptest! {
        #[test]
        fn display_and_reduced_formula_read_back(amounts in prop::collection::btree_map(1u8..=118, 1u32..40, 1..7)) {
            let element = |z: &u8| Element::from_number(*z).unwrap();
            let composition = Composition::new(amounts.iter().map(|(z, n)| (element(z), f64::from(*n)))).unwrap();
            prop_assert_eq!(&parse(&composition.to_string()), &composition);
            let reduced = parse(&composition.reduced_formula());
            for ((a, x), (b, y)) in reduced.fractions().zip(composition.fractions()) {
                prop_assert_eq!(a, b);
                prop_assert!((x - y).abs() < 1e-15);
            }
            prop_assert!((composition.fractions().map(|(_, x)| x).sum::<f64>() - 1.0).abs() < 1e-14);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[A-Zac-u()\\[\\]{}0-9.·* ]{0,24}") {
            if let Ok(composition) = text.parse::<Composition>() {
                prop_assert!(composition.num_atoms().is_finite() && composition.num_atoms() > 0.0);
            }
        }
    }
}
