//! Whether the atoms that were read are those that a CIF says it has.

use super::operator::Operator;
use super::orbit::{Symmetry, Tolerance, expand};
use super::sites::Site;
use super::symmetry::{GroupName, operators_of_group};
use super::syntax::Block;
use super::with_uncertainty;
use crate::crystal::files::record::{RecordWarning, number};
use crate::crystal::{Element, Structure};

/// Amounts in formulas are often rounded.
const AMOUNT_TOLERANCE: f64 = 0.01;

/// A structure beside the file that it was read from.
pub(super) struct Agreement<'a> {
    pub block: &'a Block<'a>,
    pub sites: &'a [Site<'a>],
    pub structure: &'a Structure,
}

/// What a formula says of the atoms.
enum Verdict {
    Confirmed,
    Denied(RecordWarning),
    Silent,
}

impl<'a> Agreement<'a> {
    /// Compares the atoms with the chemical formula, the number of formula units, the sites' multiplicities and, where
    /// operators are listed, with the space group's name `beside` them. A formula that agrees settles it.
    pub fn check(
        &self,
        symmetry: &Symmetry,
        multiplicities: &[usize],
        beside: Option<fn(&Block<'a>) -> GroupName<'a>>,
        warnings: &mut Vec<RecordWarning>,
    ) {
        let formula = self.formula();
        if matches!(formula, Verdict::Confirmed) {
            return;
        }
        let before = warnings.len();
        warnings.extend(match formula {
            Verdict::Denied(warning) => Some(warning),
            _ => None,
        });
        warnings.extend(self.multiplicity(symmetry, multiplicities));
        if warnings.len() == before {
            warnings.extend(beside.and_then(|group_name| self.other_group(&group_name(self.block), symmetry)));
        }
    }

    fn formula(&self) -> Verdict {
        let Some(text) = self.block.value("_chemical_formula_sum") else { return Verdict::Silent };
        let Some(listed) = Amounts::of_formula(text) else { return Verdict::Silent };
        let read = || formula_of(&self.structure.species);
        let Some(units) = Amounts::of_atoms(&self.structure.species).ratio(&listed) else {
            return Verdict::Denied(RecordWarning::Formula { listed: text.to_owned(), read: read() });
        };
        // Programs write the formula of the unit or of the whole cell.
        let z = self.block.value("_cell_formula_units_z").and_then(with_uncertainty);
        let agrees = match z {
            Some(z) => close(units, z) || close(units, 1.0),
            None => units >= 1.0 - AMOUNT_TOLERANCE,
        };
        if agrees {
            return Verdict::Confirmed;
        }
        let listed = z.map_or_else(|| "at least one unit".to_owned(), |z| format!("{z} units"));
        Verdict::Denied(RecordWarning::Units { listed, formula: text.to_owned(), read: read() })
    }

    /// The first site with another number of images than is written. What is written may be the order of its site
    /// symmetry instead, as in SHELXL's files.
    fn multiplicity(&self, symmetry: &Symmetry, multiplicities: &[usize]) -> Option<RecordWarning> {
        let order = symmetry.operators.len();
        self.sites.iter().zip(multiplicities).find_map(|(site, read)| {
            let listed = site.multiplicity.filter(|_| *read > 0).and_then(with_uncertainty)?;
            let agrees = [*read as f64, (order / read) as f64].contains(&listed);
            let formula = || formula_of(&self.structure.species);
            (!agrees).then(|| RecordWarning::Multiplicity {
                site: site.label.to_owned(),
                listed,
                read: *read,
                formula: formula(),
            })
        })
    }

    /// Operators beside the name of a space group that has others: a list of one beside `F m -3 m`, say. All is well if
    /// the sites are complete without them.
    fn other_group(&self, group: &GroupName, symmetry: &Symmetry) -> Option<RecordWarning> {
        let named = operators_of_group(group, &self.structure.lattice, &mut Vec::new()).ok()?;
        if named == [Operator::IDENTITY] || named.len() == symmetry.operators.len() {
            return None;
        }
        let named = Symmetry { operators: named, is_group: true };
        let atoms = expand(self.sites, &named, &self.structure.lattice, Tolerance::Rounding).ok()?;
        (atoms.species.len() != self.structure.len()).then(|| RecordWarning::OtherGroup {
            name: group.text(),
            read: formula_of(&self.structure.species),
            named: formula_of(&atoms.species),
        })
    }
}

/// The elements of the chemical formula; none where it is absent or cannot be read.
pub(super) fn formula_elements(block: &Block) -> Vec<Element> {
    let amounts = block.value("_chemical_formula_sum").and_then(Amounts::of_formula);
    let amounts = amounts.map_or([0.0; 119], |amounts| amounts.0);
    (1..=118).filter(|number| amounts[usize::from(*number)] > 0.0).filter_map(Element::from_number).collect()
}

/// How much there is of each element, by atomic number.
struct Amounts([f64; 119]);

impl Amounts {
    fn of_atoms(species: &[Element]) -> Self {
        let mut amounts = [0.0; 119];
        species.iter().for_each(|element| amounts[usize::from(element.number())] += 1.0);
        Self(amounts)
    }

    /// Of `C2 H4 O2`, with deuterium as hydrogen; none for other texts, such as formulas with charges.
    fn of_formula(text: &str) -> Option<Self> {
        let mut amounts = [0.0; 119];
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first.is_whitespace() {
                rest = rest.trim_start();
                continue;
            }
            let letters = 1 + rest.bytes().skip(1).take_while(u8::is_ascii_lowercase).count();
            let (symbol, after) = rest.split_at_checked(letters)?;
            let element = Element::from_symbol(if symbol == "D" { "H" } else { symbol })?;
            let digits = after.bytes().take_while(|c| c.is_ascii_digit() || *c == b'.').count();
            let amount = if digits == 0 { Some(1.0) } else { number(&after[..digits]) };
            amounts[usize::from(element.number())] += amount?;
            rest = &after[digits..];
        }
        amounts.iter().any(|amount| *amount > 0.0).then_some(Self(amounts))
    }

    /// How many times the other these are, if the elements are the same in the same proportions.
    fn ratio(&self, unit: &Self) -> Option<f64> {
        let pairs = || self.0.iter().zip(&unit.0).filter(|(own, unit)| **own > 0.0 || **unit > 0.0);
        let ratio = pairs().next().map(|(own, unit)| own / unit)?;
        pairs().all(|(own, unit)| *own > 0.0 && *unit > 0.0 && close(own / unit, ratio)).then_some(ratio)
    }
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= AMOUNT_TOLERANCE * other
}

/// The elements in the order of their appearance, each with its number of atoms.
pub(super) fn formula_of(species: &[Element]) -> String {
    let mut counts: Vec<(Element, usize)> = Vec::new();
    for element in species {
        match counts.iter_mut().find(|(known, _)| known == element) {
            Some((_, count)) => *count += 1,
            None => counts.push((*element, 1)),
        }
    }
    counts.iter().map(|(element, count)| format!("{element}{count}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_read_or_passed_over() {
        let amounts = |text: &str| {
            let amounts = Amounts::of_formula(text)?.0;
            Some([1, 6, 8, 11].map(|number: usize| amounts[number]))
        };
        for text in ["C2 H4 O2", "C2H4O2", " H4 C2  O2 ", "C2 D4 O2", "C2 D3 H O2", "C2.0 H4.00 O2"] {
            assert_eq!(amounts(text), Some([4.0, 2.0, 2.0, 0.0]), "{text}");
        }
        for text in ["", " ", "C2 H4 O2 +", "C2 Xx", "2C", "(C2 H4)2", "C2 \u{e9}", "\u{e9}", "C.", "C1.2.3"] {
            assert_eq!(amounts(text), None, "{text}");
        }
        let of = |text: &str| Amounts::of_formula(text).unwrap();
        assert_eq!(of("C4 H8").ratio(&of("C H2")), Some(4.0));
        assert_eq!(of("C4 H8").ratio(&of("C H3")), None);
        assert_eq!(of("C4 H8").ratio(&of("C H2 O")), None);
        assert_eq!(of("C4 H8 O").ratio(&of("C H2")), None);
    }
}
