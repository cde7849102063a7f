//! Families of compositions: formulas in which a letter may stand for any element, such as `LiMO2`.

use std::fmt;
use std::str::FromStr;

use super::composition::read_formula;
use super::{CompositionError, Element};

/// Capitals that are neither an element nor an isotope of hydrogen.
const PLACEHOLDERS: &str = "AEGJLMQRXZ";

/// Most placeholders of a formula: which element takes which place is found by trying all ways.
const MOST_PLACEHOLDERS: usize = 5;

/// Largest amount, atoms per formula unit.
const LARGEST_AMOUNT: f64 = 1000.0;

/// A formula with elements and placeholders, in lowest terms. A placeholder stands for one element, each for another, and none
/// for an element that the formula names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormulaFamily {
    text: String,
    named: Vec<(Element, usize)>,
    open: Vec<(char, usize)>,
}

/// Why a text is no family of compositions.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FormulaFamilyError {
    /// No formula.
    #[error(transparent)]
    Formula(#[from] CompositionError),
    /// An amount that is no integer, or absurdly large.
    #[error("the amount {amount} of {symbol} in `{formula}` is not a whole number from 1 to {LARGEST_AMOUNT}")]
    Amount {
        /// Whose amount.
        symbol: String,
        /// The amount.
        amount: f64,
        /// The whole formula.
        formula: String,
    },
    /// More placeholders than are tried.
    #[error("`{formula}` has {found} placeholders; at most {MOST_PLACEHOLDERS} are possible")]
    Placeholders {
        /// The whole formula.
        formula: String,
        /// How many.
        found: usize,
    },
}

/// What a symbol in the formula stands for.
#[derive(Clone, Copy, PartialEq)]
enum Symbol {
    Element(Element),
    Placeholder(char),
}

impl FormulaFamily {
    /// The elements that it names, with their amounts per formula unit.
    pub fn named(&self) -> &[(Element, usize)] {
        &self.named
    }

    /// The placeholders, with their amounts per formula unit.
    pub fn placeholders(&self) -> &[(char, usize)] {
        &self.open
    }

    /// Number of different elements.
    pub fn elements(&self) -> usize {
        self.named.len() + self.open.len()
    }

    /// How the formula is read: `A, X any other element; B as elements`.
    pub fn reading(&self) -> String {
        let list = |symbols: Vec<String>, what: &str| {
            if symbols.is_empty() { None } else { Some(format!("{} {what}", symbols.join(", "))) }
        };
        let open = list(self.open.iter().map(|(letter, _)| letter.to_string()).collect(), "any other element");
        let named = list(self.named.iter().map(|(element, _)| element.to_string()).collect(), "as elements");
        open.into_iter().chain(named).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for FormulaFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a formula as a composition is read, with the capitals A, E, G, J, L, M, Q, R, X and Z as placeholders.
impl FromStr for FormulaFamily {
    type Err = FormulaFamilyError;

    fn from_str(formula: &str) -> Result<Self, FormulaFamilyError> {
        let symbols = merged(read_formula(formula, Symbol::of)?);
        let (mut named, mut open) = (Vec::new(), Vec::new());
        for (symbol, amount) in symbols {
            let whole = amount.fract() == 0.0 && (1.0..=LARGEST_AMOUNT).contains(&amount);
            if !whole {
                return Err(FormulaFamilyError::Amount { symbol: symbol.text(), amount, formula: formula.into() });
            }
            match symbol {
                Symbol::Element(element) => named.push((element, amount as usize)),
                Symbol::Placeholder(letter) => open.push((letter, amount as usize)),
            }
        }
        if open.len() > MOST_PLACEHOLDERS {
            return Err(FormulaFamilyError::Placeholders { formula: formula.into(), found: open.len() });
        }
        let factor = named.iter().map(|(_, n)| *n).chain(open.iter().map(|(_, n)| *n)).fold(0, common_divisor).max(1);
        named.iter_mut().for_each(|(_, n)| *n /= factor);
        open.iter_mut().for_each(|(_, n)| *n /= factor);
        Ok(Self { text: formula.into(), named, open })
    }
}

impl Symbol {
    fn of(text: &str) -> Option<Self> {
        if let Some(element) = Element::from_symbol_or_isotope(text) {
            return Some(Self::Element(element));
        }
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if PLACEHOLDERS.contains(letter) => Some(Self::Placeholder(letter)),
            _ => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Element(element) => element.to_string(),
            Self::Placeholder(letter) => letter.to_string(),
        }
    }
}

/// The amounts of each symbol summed, in the order in which the symbols come.
fn merged(amounts: Vec<(Symbol, f64)>) -> Vec<(Symbol, f64)> {
    let mut merged: Vec<(Symbol, f64)> = Vec::new();
    for (symbol, amount) in amounts {
        match merged.iter_mut().find(|(known, _)| *known == symbol) {
            Some((_, sum)) => *sum += amount,
            None => merged.push((symbol, amount)),
        }
    }
    merged
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_are_no_element_stand_for_any() {
        let family: FormulaFamily = "LiMO2".parse().unwrap();
        let named: Vec<(&str, usize)> = family.named().iter().map(|(e, n)| (e.symbol(), *n)).collect();
        assert_eq!((named, family.placeholders()), (vec![("Li", 1), ("O", 2)], &[('M', 1)][..]));
        assert_eq!((family.elements(), family.reading().as_str()), (3, "M any other element; Li, O as elements"));
        // B is boron, Mo is molybdenum; two formula units are the same family.
        let perovskite: FormulaFamily = "A2B2X6".parse().unwrap();
        assert_eq!(perovskite.placeholders(), [('A', 1), ('X', 3)]);
        assert_eq!(perovskite.reading(), "A, X any other element; B as elements");
        assert!("MoO3".parse::<FormulaFamily>().unwrap().placeholders().is_empty());
        let nasicon: FormulaFamily = "NaM2(PO4)3".parse().unwrap();
        assert_eq!(nasicon.named().iter().map(|(_, n)| *n).collect::<Vec<_>>(), [1, 3, 12]);
    }

    #[test]
    fn other_texts_are_refused() {
        let refused = |text: &str| text.parse::<FormulaFamily>().unwrap_err().to_string();
        assert_eq!(refused("LiMxO2"), "`Mx` in `LiMxO2` is not an element");
        assert_eq!(refused("Li0.5MO2"), "the amount 0.5 of Li in `Li0.5MO2` is not a whole number from 1 to 1000");
        assert!(refused("LiM0O2").starts_with("the amount 0 of M"));
        assert!(refused("LiM2000").starts_with("the amount 2000 of M"));
        assert_eq!(refused("AEGJLM"), "`AEGJLM` has 6 placeholders; at most 5 are possible");
        for text in ["", "limo2", "(Li", "M-O", "Li\u{0}"] {
            assert!(text.parse::<FormulaFamily>().is_err(), "{text:?}");
        }
    }
}
