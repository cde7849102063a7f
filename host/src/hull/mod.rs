//! Reference phases, and energy above their convex hull.
//!
//! A [`Hull`] is built from [`Entry`]s once, keeps those that are stable in their own chemical system (exact: a decomposition
//! never needs another), and answers a query by one small linear program. Entries come from tables and pymatgen JSON
//! ([`read_entries`]); a built hull is one compact file ([`Hull::save`], [`Hull::load`]).
//!
//! It knows no potential and corrects no energy: all energies of one hull must come from one method, whose name the header
//! carries. An element without a reference energy is an error that names it, never a guess.

mod adjustments;
mod build;
mod entry;
mod error;
mod file;
mod index;
mod json;
mod non_finite;
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
pub use open::{BuiltHull, HullSource, OpenedHull, build_file, open_hull};
pub use query::{Hull, HullDistance, HullHeader, HullInfo, ReferenceCrystal};
pub use read::{ReadEntries, read_entries};
pub use rows::{Rejected, RejectedRow, RunTypes};
pub use table::{QuerySummary, query_file};
