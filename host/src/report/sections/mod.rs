//! The parts of the page, in their order: a file each.

mod candidates;
mod composition;
mod curves;
mod energies;
mod evaluations;
mod funnel;
mod judge;
mod origin;
mod properties;
mod summary;
mod symmetry;
mod time;

use maud::{Markup, html};

pub use energies::share_of_energies;
pub use symmetry::percent_bar;

use super::group::Group;
use super::{ReportError, Section};

/// All parts that the runs give rise to.
pub(super) fn all(groups: &[Group]) -> Result<Vec<Section>, ReportError> {
    let parts = [
        Some(summary::section(groups)?),
        curves::section(groups),
        funnel::section(groups),
        energies::section(groups),
        symmetry::section(groups),
        composition::section(groups),
        properties::section(groups),
        judge::section(groups),
        evaluations::section(groups),
        candidates::section(groups),
        time::section(groups),
        Some(origin::section(groups)?),
    ];
    Ok(parts.into_iter().flatten().collect())
}

/// The name of a figure's file: what it shows, and of which group where there are several.
fn file_name(what: &str, group: &Group, groups: &[Group]) -> String {
    if groups.len() > 1 { format!("{what}-{}", group.letter.to_lowercase()) } else { what.to_owned() }
}

/// ` of A (run)`, where there are several groups.
fn of_group(group: &Group, groups: &[Group]) -> String {
    if groups.len() > 1 { format!(" of {}", group.name) } else { String::new() }
}

/// Whose shares are counted from the rows of samples: all, or those that were kept.
fn samples_of(group: &Group) -> &'static str {
    if group.is_in_part() { "samples kept" } else { "samples" }
}

/// A table whose first row is its header. The first column names the rows.
fn table(header: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { @for cell in header { th scope="col" { (cell) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table that is opened by those who want it.
fn folded(title: &str, contents: &Markup) -> Markup {
    html! { details { summary { (title) } (contents) } }
}

/// The words of the steps that are compared: `step 1`, `steps 91 to 100`.
fn steps_named(steps: impl Iterator<Item = u64>) -> String {
    let text = super::text::steps(steps);
    let plural = if text.chars().all(|c| c.is_ascii_digit()) { "" } else { "s" };
    format!("step{plural} {text}")
}
