//! Whether a composition can be neutral with the oxidation states of its elements, the more electronegative ones negative: the
//! test of SMACT (Davies et al., J. Open Source Softw. 4, 1361) as CDVAE applies it.

use std::collections::HashMap;

use crate::crystal::{Composition, Element};

/// Combinations of oxidation states that are tried; no composition of ten elements has as many that are nearly neutral.
const MOST_COMBINATIONS: usize = 10_000_000;

/// A version of SMACT's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Smact {
    /// 2.2.1, which most publications used.
    #[default]
    V2_2_1,
    /// 3.2.0, with the oxidation states of ICSD 2024.
    V3_2_0,
}

/// Why a composition cannot be tested.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SmactError {
    /// An element that the table has no oxidation states for.
    #[error("SMACT {version} has no oxidation states of {element}")]
    NoStates {
        /// Of the table.
        version: &'static str,
        /// The element.
        element: Element,
    },
    /// Amounts that are no whole numbers.
    #[error("the amounts are no whole numbers")]
    Fractional,
    /// Too many elements.
    #[error("more than {MOST_COMBINATIONS} combinations of oxidation states")]
    TooMany,
}

/// What the table says of an element.
struct Entry {
    /// On Pauling's scale.
    electronegativity: Option<f64>,
    metal: bool,
    states: Option<Vec<i64>>,
}

impl Smact {
    fn version(self) -> &'static str {
        match self {
            Self::V2_2_1 => "2.2.1",
            Self::V3_2_0 => "3.2.0",
        }
    }

    fn table(self) -> HashMap<Element, Entry> {
        let text = match self {
            Self::V2_2_1 => include_str!("smact-2.2.1.tsv"),
            Self::V3_2_0 => include_str!("smact-3.2.0.tsv"),
        };
        text.lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect()
    }

    /// Whether a composition passes: one element alone and alloys of metals always do; others if some combination of
    /// oxidation states, one for each element, is neutral and gives no cation the higher electronegativity.
    ///
    /// # Errors
    /// [`SmactError`].
    pub fn is_valid(self, composition: &Composition) -> Result<bool, SmactError> {
        let amounts = composition.amounts();
        if amounts.len() == 1 {
            return Ok(true);
        }
        let table = self.table();
        let entries: Vec<Option<&Entry>> = amounts.iter().map(|(element, _)| table.get(element)).collect();
        if entries.iter().all(|entry| entry.is_some_and(|entry| entry.metal)) {
            return Ok(true);
        }
        let mut ions = Vec::with_capacity(amounts.len());
        for ((element, amount), entry) in amounts.iter().zip(entries) {
            let no_states = || SmactError::NoStates { version: self.version(), element: *element };
            let entry = entry.ok_or_else(no_states)?;
            let states = entry.states.as_deref().ok_or_else(no_states)?;
            if amount.fract() != 0.0 {
                return Err(SmactError::Fractional);
            }
            ions.push(Ion { amount: *amount as i64, electronegativity: entry.electronegativity, states });
        }
        Search { ions: &ions, tried: 0 }.from(&mut Vec::new(), 0)
    }
}

/// An element of a composition.
struct Ion<'a> {
    amount: i64,
    electronegativity: Option<f64>,
    states: &'a [i64],
}

/// A search through the combinations of oxidation states.
struct Search<'a> {
    ions: &'a [Ion<'a>],
    tried: usize,
}

impl Search<'_> {
    /// Whether some continuation of `chosen` passes; `charge` is that of the elements chosen.
    fn from(&mut self, chosen: &mut Vec<i64>, charge: i64) -> Result<bool, SmactError> {
        self.tried += 1;
        if self.tried > MOST_COMBINATIONS {
            return Err(SmactError::TooMany);
        }
        let Some(ion) = self.ions.get(chosen.len()) else {
            return Ok(charge == 0 && self.is_ordered(chosen));
        };
        // The charge that the others can bring.
        let rest = &self.ions[chosen.len()..];
        let reach = |extreme: fn(i64, i64) -> i64| {
            rest.iter().map(|ion| ion.amount * ion.states.iter().copied().reduce(extreme).unwrap_or(0)).sum::<i64>()
        };
        if !(reach(i64::min)..=reach(i64::max)).contains(&-charge) {
            return Ok(false);
        }
        for state in ion.states {
            chosen.push(*state);
            let found = self.from(chosen, charge + ion.amount * state)?;
            chosen.pop();
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether no cation is as electronegative as an anion or more so. SMACT looks at pairs in order: one of unlike charges with
    /// an unknown electronegativity ends the test, and CDVAE lets it pass; one of like charges fails it.
    fn is_ordered(&self, states: &[i64]) -> bool {
        for (i, first) in self.ions.iter().enumerate() {
            for (j, second) in self.ions.iter().enumerate().skip(i + 1) {
                let unlike = states[i].signum() * states[j].signum() < 0;
                match (first.electronegativity, second.electronegativity) {
                    (Some(first), Some(second)) => {
                        let (cation, anion) = if states[i] > 0 { (first, second) } else { (second, first) };
                        if unlike && cation >= anion {
                            return false;
                        }
                    }
                    _ => return unlike,
                }
            }
        }
        true
    }
}

/// A row of a table: element, electronegativity, `metal` or nothing, oxidation states; `-` where there are none.
fn entry(line: &str) -> Option<(Element, Entry)> {
    let [symbol, electronegativity, metal, states] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
    let states = (states != "-").then(|| states.split_whitespace().filter_map(|state| state.parse().ok()).collect());
    let entry = Entry { electronegativity: electronegativity.parse().ok(), metal: metal == "metal", states };
    Some((Element::from_symbol(symbol)?, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(table: Smact, formula: &str) -> Result<bool, SmactError> {
        table.is_valid(&formula.parse().unwrap())
    }

    /// As `smact` 2.2.1 and 3.2.0 find with CDVAE's function around them.
    #[test]
    fn compositions_pass_where_smact_lets_them() {
        // Neutral; alloy; element; equal electronegativities; no neutral combination; an anion that is less electronegative.
        let expected =
            [("NaCl", true), ("Fe3Al", true), ("Xe", true), ("SiCu", false), ("NaCl2", false), ("LiFePO4", true)];
        for table in [Smact::V2_2_1, Smact::V3_2_0] {
            for (formula, valid) in expected {
                assert_eq!(verdict(table, formula), Ok(valid), "{formula}");
            }
        }
        // 2.2.1 gives helium no state at all, so nothing is neutral; 3.2.0 has no entry, and SMACT fails.
        assert_eq!(verdict(Smact::V2_2_1, "HeNb"), Ok(false));
        let error = verdict(Smact::V3_2_0, "HeNb").unwrap_err();
        assert_eq!(error.to_string(), "SMACT 3.2.0 has no oxidation states of He");
        assert_eq!(verdict(Smact::V2_2_1, "Li0.5CoO2"), Err(SmactError::Fractional));
    }

    #[test]
    fn a_hostile_formula_ends() {
        let formula: String =
            ["Mn", "Cr", "V", "Fe", "Ru", "Os", "Re", "W", "Mo", "Tc", "N", "P", "S", "Cl", "Br", "I"].join("");
        let found = verdict(Smact::V2_2_1, &format!("{formula}He"));
        assert!(matches!(found, Ok(false) | Err(SmactError::TooMany)), "{found:?}");
    }
}
