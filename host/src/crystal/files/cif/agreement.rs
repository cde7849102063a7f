//! Whether the atoms that were read are those that a CIF says it has.

use super::operator::Operator;
use super::orbit::{Symmetry, Tolerance, expand};
use super::sites::Site;
use super::symmetry::{GroupName, operators_of_group};
use super::syntax::Block;
use super::with_uncertainty;
use crate::crystal::files::record::RecordWarning;
use crate::crystal::{Composition, Element, Structure};

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

impl Agreement<'_> {
    /// Compares the atoms with the chemical formula, the number of formula units, the sites' multiplicities and, where
    /// operators are listed, with the space group's name `beside` them. A formula that agrees settles it.
    pub fn check(
        &self,
        symmetry: &Symmetry,
        multiplicities: &[usize],
        beside: Option<&GroupName>,
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
            warnings.extend(beside.and_then(|group| self.other_group(group, symmetry)));
        }
    }

    fn formula(&self) -> Verdict {
        let Some(text) = self.block.value("_chemical_formula_sum") else { return Verdict::Silent };
        let Some(listed) = composition(text) else { return Verdict::Silent };
        let Ok(read) = Composition::of_structure(self.structure) else { return Verdict::Silent };
        let (listed, read) = (listed.amounts(), read.amounts());
        let same_elements = listed.iter().map(|(element, _)| element).eq(read.iter().map(|(element, _)| element));
        let units: Vec<f64> = read.iter().zip(listed).map(|((_, read), (_, listed))| read / listed).collect();
        let close = |one: f64, other: f64| (one - other).abs() <= AMOUNT_TOLERANCE * other;
        if !same_elements || !units.iter().all(|ratio| close(*ratio, units[0])) {
            let read = formula_of(&self.structure.species);
            return Verdict::Denied(RecordWarning::Formula { listed: text.to_owned(), read });
        }
        // Programs write the formula of the unit or of the whole cell.
        let z = self.block.value("_cell_formula_units_z").and_then(with_uncertainty);
        let agrees = match z {
            Some(z) => close(units[0], z) || close(units[0], 1.0),
            None => units[0] >= 1.0 - AMOUNT_TOLERANCE,
        };
        if agrees {
            return Verdict::Confirmed;
        }
        let listed = z.map_or_else(|| "at least one unit".to_owned(), |z| format!("{z} units"));
        let read = formula_of(&self.structure.species);
        Verdict::Denied(RecordWarning::Units { listed, formula: text.to_owned(), read })
    }

    /// The first site with another number of images than is written. What is written may be the order of its site
    /// symmetry instead, as in SHELXL's files.
    fn multiplicity(&self, symmetry: &Symmetry, multiplicities: &[usize]) -> Option<RecordWarning> {
        let order = symmetry.operators.len();
        self.sites.iter().zip(multiplicities).find_map(|(site, read)| {
            let listed = site.multiplicity.filter(|_| *read > 0)?;
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

/// `C2 H4 O2`, with deuterium as hydrogen.
fn composition(text: &str) -> Option<Composition> {
    let word = |word: &str| match word.strip_prefix('D') {
        Some(count) if count.bytes().all(|c| c.is_ascii_digit() || c == b'.') => format!("H{count}"),
        _ => word.to_owned(),
    };
    text.split_whitespace().map(word).collect::<String>().parse().ok()
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
