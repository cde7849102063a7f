//! The atom sites of a CIF.

use super::agreement::formula_elements;
use super::operator::from_whole;
use super::syntax::{Block, Column};
use super::with_uncertainty;
use crate::crystal::files::record::{RecordWarning, RowError};
use crate::crystal::files::species;
use crate::crystal::{Element, Lattice};

/// How far an occupancy may be from 1.
const OCCUPANCY_TOLERANCE: f64 = 1e-3;

/// Sites that are nearer share a place, angstrom.
const SAME_PLACE: f64 = 0.05;

/// A site that is occupied by one atom.
#[derive(Clone, Debug)]
pub(super) struct Site<'a> {
    pub label: &'a str,
    pub element: Element,
    pub frac: [f64; 3],
    /// The coordinates as they are written.
    texts: [&'a str; 3],
    /// Number of images that the file says it has.
    pub multiplicity: Option<&'a str>,
    occupancy: f64,
}

impl Site<'_> {
    /// Digits behind the point of the longest coordinate.
    pub fn decimals(&self) -> usize {
        self.texts.map(decimals).into_iter().max().unwrap_or_default()
    }

    fn is_whole(&self) -> bool {
        (self.occupancy - 1.0).abs() <= OCCUPANCY_TOLERANCE
    }
}

/// All sites with atoms: dummies and sites of occupancy 0 are left out, shares of one element are put together.
pub(super) fn sites<'a>(
    block: &Block<'a>,
    lattice: &Lattice,
    warnings: &mut Vec<RecordWarning>,
) -> Result<Vec<Site<'a>>, RowError> {
    let table = SiteTable::of(block, lattice)?;
    let rows = (0..table.axes[0].len()).filter(|row| !table.is_dummy(*row));
    let sites = rows.map(|row| table.site(row)).collect::<Result<Vec<_>, _>>()?;
    let occupied = sites.into_iter().filter(|site| site.occupancy != 0.0).collect();
    let sites = whole(occupied, lattice)?;
    if let Some(water) = sites.iter().find(|site| species::is_water(site.label))
        && sites.iter().all(|site| site.element.symbol() != "H")
    {
        warnings.push(RecordWarning::Water { site: water.label.to_owned() });
    }
    Ok(sites)
}

/// The columns of the atom sites, of equal length.
struct SiteTable<'b, 'a> {
    axes: [Column<'b, 'a>; 3],
    /// From coordinates to fractional ones.
    fractional: Box<dyn Fn([f64; 3]) -> [f64; 3] + 'b>,
    labels: Option<Column<'b, 'a>>,
    symbols: Option<Column<'b, 'a>>,
    occupancies: Option<Column<'b, 'a>>,
    hydrogens: Option<Column<'b, 'a>>,
    multiplicities: Option<Column<'b, 'a>>,
    flags: Option<Column<'b, 'a>>,
    /// Elements of the chemical formula.
    formula: Vec<Element>,
}

impl<'b, 'a> SiteTable<'b, 'a> {
    fn of(block: &'b Block<'a>, lattice: &'b Lattice) -> Result<Self, RowError> {
        const FRACTIONAL: [&str; 3] = ["_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z"];
        const CARTESIAN: [&str; 3] = ["_atom_site_cartn_x", "_atom_site_cartn_y", "_atom_site_cartn_z"];
        let is_known = |tag: &str| block.column(tag).is_some_and(|column| column.is_known());
        let cartesian = !is_known(FRACTIONAL[0]) && is_known(CARTESIAN[0]);
        let tags = if cartesian { CARTESIAN } else { FRACTIONAL };
        let axis = |tag: &str| block.column(tag).ok_or_else(|| RowError::missing(tag));
        let axes = [axis(tags[0])?, axis(tags[1])?, axis(tags[2])?];
        let beside = |tag: &str, column: &Column<'b, 'a>| match column.is_beside(&axes[0]) {
            true => Ok(()),
            false => Err(RowError::missing(format!("one loop that holds {} and {tag}", tags[0]))),
        };
        beside(tags[1], &axes[1])?;
        beside(tags[2], &axes[2])?;
        let column = |tag: &str| -> Result<Option<Column<'b, 'a>>, RowError> {
            let column = block.column(tag);
            column.as_ref().map_or(Ok(()), |column| beside(tag, column)).map(|()| column)
        };
        Ok(Self {
            axes,
            fractional: if cartesian { from_cartesian(block, lattice)? } else { Box::new(|frac| frac) },
            labels: column("_atom_site_label")?,
            symbols: column("_atom_site_type_symbol")?,
            occupancies: column("_atom_site_occupancy")?,
            hydrogens: column("_atom_site_attached_hydrogens")?,
            multiplicities: match column("_atom_site_symmetry_multiplicity")? {
                None => column("_atom_site_site_symmetry_multiplicity")?,
                found => found,
            },
            flags: column("_atom_site_calc_flag")?,
            formula: formula_elements(block),
        })
    }

    /// Whether a row's coordinates have no meaning.
    fn is_dummy(&self, row: usize) -> bool {
        self.flags.as_ref().is_some_and(|flags| flags.word(row).text == "dum")
    }

    fn site(&self, row: usize) -> Result<Site<'a>, RowError> {
        let known = |column: &Option<Column<'b, 'a>>| column.as_ref().and_then(|words| words.word(row).known());
        let (label, symbol) = (known(&self.labels), known(&self.symbols));
        let element = match (symbol, label) {
            (Some(symbol), _) => species::from_symbol(symbol)?,
            (None, Some(label)) => species::from_label(label, &self.formula)?,
            (None, None) => return Err(RowError::missing("_atom_site_label or _atom_site_type_symbol")),
        };
        let name = label.or(symbol).unwrap_or_default();
        let value = |what: &str, text: &str| {
            let error = || RowError::value(format!("the {what} of site {name}"), text, "a number");
            with_uncertainty(text).ok_or_else(error)
        };
        let occupancy = value("occupancy", known(&self.occupancies).unwrap_or("1"))?;
        if occupancy != 0.0 && value("attached hydrogens", known(&self.hydrogens).unwrap_or("0"))? != 0.0 {
            return Err(RowError::missing(format!("coordinates of the hydrogen atoms attached to site {name}")));
        }
        let [x, y, z] = self.axes.each_ref().map(|axis| axis.word(row).text);
        Ok(Site {
            label: name,
            element,
            frac: (self.fractional)([value("x", x)?, value("y", y)?, value("z", z)?]),
            texts: [x, y, z],
            multiplicity: known(&self.multiplicities),
            occupancy,
        })
    }
}

/// Digits behind the point. A number with an exponent was not rounded by hand.
fn decimals(text: &str) -> usize {
    let digits = text.split_once('.').map_or("", |(_, digits)| digits);
    if digits.contains(['e', 'E']) { usize::MAX } else { digits.bytes().take_while(u8::is_ascii_digit).count() }
}

/// A map of coordinates.
type Map<'a> = Box<dyn Fn([f64; 3]) -> [f64; 3] + 'a>;

/// The map from Cartesian coordinates: the file's matrix, or a along x and b in the xy plane.
fn from_cartesian<'a>(block: &Block, lattice: &'a Lattice) -> Result<Map<'a>, RowError> {
    let number = |tag: String| match block.value(&tag) {
        Some(text) => with_uncertainty(text).map(Some).ok_or_else(|| RowError::value(tag, text, "a number")),
        None => Ok(None),
    };
    let mut transform = [[0.0; 4]; 3];
    for (i, row) in transform.iter_mut().enumerate() {
        for (j, entry) in row.iter_mut().enumerate() {
            let part = if j < 3 { format!("matrix_{}{}", i + 1, j + 1) } else { format!("vector_{}", i + 1) };
            match number(format!("_atom_sites_fract_tran_{part}"))? {
                Some(number) => *entry = number,
                None if j == 3 => {}
                None if block.has_prefix("_atom_sites_cartn_tran_matrix") => {
                    return Err(RowError::missing(
                        "_atom_sites_fract_tran_matrix: Cartesian coordinates are read in that or in the standard orientation",
                    ));
                }
                None => return Ok(Box::new(|r| lattice.fractional(r))),
            }
        }
    }
    Ok(Box::new(move |r| transform.map(|[x, y, z, shift]| x * r[0] + y * r[1] + z * r[2] + shift)))
}

/// Sites that are occupied by one atom each: the shares of one element in one place, in several states of oxidation,
/// say, are put together.
fn whole<'a>(sites: Vec<Site<'a>>, lattice: &Lattice) -> Result<Vec<Site<'a>>, RowError> {
    if sites.iter().all(Site::is_whole) {
        return Ok(sites);
    }
    let mut merged: Vec<Site> = Vec::with_capacity(sites.len());
    for site in sites {
        let shares = |known: &&mut Site<'a>| {
            !known.is_whole() && known.element == site.element && distance(lattice, known.frac, site.frac) < SAME_PLACE
        };
        match merged.iter_mut().filter(|_| !site.is_whole()).find(shares) {
            Some(known) => known.occupancy += site.occupancy,
            None => merged.push(site),
        }
    }
    match merged.iter().find(|site| !site.is_whole()) {
        Some(site) => Err(RowError::PartialOccupancy { site: site.label.to_owned(), occupancy: site.occupancy }),
        None => Ok(merged),
    }
}

/// Between the nearest images along each axis, angstrom.
pub(super) fn distance(lattice: &Lattice, one: [f64; 3], other: [f64; 3]) -> f64 {
    let offset: [f64; 3] = std::array::from_fn(|k| one[k] - other[k]);
    let [x, y, z] = lattice.cartesian(offset.map(from_whole));
    (x * x + y * y + z * z).sqrt()
}
