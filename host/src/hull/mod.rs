//! Reference phases, and energy above their convex hull.
//!
//! A [`Hull`] is built from [`Entry`]s once, keeps those that are stable in their own chemical system (exact: a decomposition
//! never needs another), and answers a query by one small linear program. Entries come from tables and pymatgen JSON
//! ([`read_entries`]); a built hull is one compact file ([`Hull::save`], [`Hull::load`]).
//!
//! It knows no potential and corrects no energy: all energies of one hull must come from one method, whose name the header
//! carries. An element without a reference energy is an error that names it, never a guess.
//!
//! # Example
//! With the elements at 0 and NaCl at -2 eV/atom, the hull at NaCl3, half of whose atoms are NaCl and half chlorine, is at -1.
//! ```
//! use temper::hull::{Entry, Hull, HullHeader};
//!
//! let entry = |formula: &str, energy: f64| Entry::new(formula.parse().unwrap(), energy, formula).unwrap();
//! let entries = vec![entry("Na", 0.0), entry("Cl2", 0.0), entry("NaCl", -2.0)];
//! let (hull, _) = Hull::build(entries, HullHeader::default(), &|_, _| ()).unwrap();
//! let distance = hull.query(&"NaCl3".parse().unwrap(), -0.75).unwrap();
//! assert!((distance.e_above_hull - 0.25).abs() < 1e-12);
//! assert_eq!(distance.decomposition_text(), "Cl2:0.50000000;NaCl:0.50000000");
//! ```

mod adjustments;
mod bounded;
mod build;
mod entry;
mod error;
mod file;
mod formulas;
mod index;
mod json;
mod open;
mod query;
mod read;
mod rows;
mod simplex;
mod table;

#[cfg(test)]
mod golden;

pub use adjustments::stated_correction;
pub use build::{BuildReport, Progress};
pub use entry::{Entry, EntryError, LARGEST_ENERGY};
pub use error::HullError;
pub use formulas::Formulas;
pub use open::{BuiltHull, HullSource, OpenedHull, build_file, open_hull};
pub use query::{Hull, HullDistance, HullHeader, HullInfo, ReferenceCrystal};
pub use read::{ReadEntries, read_entries};
pub use rows::{Rejected, RejectedRow, RunTypes};
pub use table::{QuerySummary, query_file};
