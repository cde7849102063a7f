//! CIF: one structure per `data_` block, its sites expanded by its symmetry operators.

use super::super::{Element, Lattice, Structure};
use super::cif_symmetry::{GroupName, Operator, operators_of_group};
use super::cif_syntax::{Block, Word};
use super::read::{Row, Source};
use super::record::{MAX_ATOMS, RowError, checked, number};
use super::species;
use std::io::{self, Write};

/// Images of one site that are nearer to each other than this are one atom on a special position, angstrom.
/// Coordinates such as 0.333 put them up to a few hundredths apart.
const SAME_ATOM: f64 = 0.05;

/// Operators that a file may list: the largest groups have 192, in a centred supercell some more.
const MAX_OPERATORS: usize = 2000;

/// The blocks of a file.
pub(super) fn rows(mut source: Source) -> impl Iterator<Item = io::Result<Row>> + Send {
    let mut next_block = Vec::new();
    std::iter::from_fn(move || {
        let first_line = source.line().max(1);
        let text = match next_text(&mut source, &mut next_block) {
            Ok(text) => text?,
            Err(error) => return Some(Err(error)),
        };
        let block = Block::parse(&text, first_line);
        let id = block.as_ref().ok().map(|block| block.name.to_owned()).filter(|name| !name.is_empty());
        let structure = block.and_then(|block| structure(&block));
        Some(Ok(Row { id, line: first_line, structure, extra: serde_json::Map::new() }))
    })
}

/// The text up to the next `data_` line, whose beginning it leaves in `pending`; none at the end of the file.
/// Only names and comments can be other than UTF-8 in a usable file, so stray bytes are replaced.
fn next_text(source: &mut Source, pending: &mut Vec<u8>) -> io::Result<Option<String>> {
    source.begin_row();
    let mut text = std::mem::take(pending);
    let mut blank = text.is_empty();
    let mut in_text_field = false;
    loop {
        let start = text.len();
        if !source.read_line(&mut text)? {
            return Ok((!blank).then(|| String::from_utf8_lossy(&text).into_owned()));
        }
        let line = text[start..].trim_ascii_start();
        in_text_field ^= text[start] == b';';
        if !in_text_field && line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"data_")) && !blank {
            *pending = text.split_off(start);
            return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
        }
        blank &= line.is_empty() || line[0] == b'#';
    }
}

/// The structure of a text that holds one block.
pub(super) fn parse(text: &str) -> Result<Structure, RowError> {
    structure(&Block::parse(text, 1)?)
}

fn structure(block: &Block) -> Result<Structure, RowError> {
    let lattice = cell(block)?;
    let sites = sites(block)?;
    let operators = operators(block, &lattice)?;
    let (species, frac) = expand(&sites, &operators, &lattice)?;
    checked(lattice, species, frac)
}

fn cell(block: &Block) -> Result<Lattice, RowError> {
    let length = |axis: &str| {
        let tag = format!("_cell_length_{axis}");
        let text = block.value(&tag).ok_or_else(|| RowError::missing(tag.as_str()))?;
        with_uncertainty(text).ok_or_else(|| RowError::value(tag, text, "a number"))
    };
    // The core dictionary's default for an angle is 90.
    let angle = |name: &str| {
        let tag = format!("_cell_angle_{name}");
        let text = block.value(&tag).unwrap_or("90");
        with_uncertainty(text).ok_or_else(|| RowError::value(tag, text, "a number"))
    };
    let lengths = [length("a")?, length("b")?, length("c")?];
    Ok(Lattice::from_parameters(lengths, [angle("alpha")?, angle("beta")?, angle("gamma")?])?)
}

/// A number that may have its standard uncertainty in parentheses: `0.123(4)`.
fn with_uncertainty(text: &str) -> Option<f64> {
    let digits = match text.split_once('(') {
        Some((digits, uncertainty)) => {
            let uncertainty = uncertainty.strip_suffix(')')?;
            Some(digits).filter(|_| uncertainty.bytes().all(|c| c.is_ascii_digit() || c == b'.'))?
        }
        None => text,
    };
    number(digits)
}

struct Site {
    element: Element,
    frac: [f64; 3],
}

fn sites(block: &Block) -> Result<Vec<Site>, RowError> {
    let table = SiteTable::of(block)?;
    (0..table.axes[0].len()).map(|row| table.site(row)).collect()
}

/// The columns of the atom sites, of equal length.
struct SiteTable<'a> {
    axes: [Vec<Word<'a>>; 3],
    labels: Option<Vec<Word<'a>>>,
    symbols: Option<Vec<Word<'a>>>,
    occupancies: Option<Vec<Word<'a>>>,
    hydrogens: Option<Vec<Word<'a>>>,
}

impl<'a> SiteTable<'a> {
    fn of(block: &Block<'a>) -> Result<Self, RowError> {
        const X: &str = "_atom_site_fract_x";
        let column = |tag: &str| match block.column(tag) {
            Some(_) if !block.same_loop(X, tag) => Err(RowError::missing(format!("one loop that holds {X} and {tag}"))),
            column => Ok(column.map(Iterator::collect)),
        };
        let axis = |tag: &str| column(tag)?.ok_or_else(|| RowError::missing(tag));
        Ok(Self {
            axes: [axis(X)?, axis("_atom_site_fract_y")?, axis("_atom_site_fract_z")?],
            labels: column("_atom_site_label")?,
            symbols: column("_atom_site_type_symbol")?,
            occupancies: column("_atom_site_occupancy")?,
            hydrogens: column("_atom_site_attached_hydrogens")?,
        })
    }

    fn site(&self, row: usize) -> Result<Site, RowError> {
        let known = |column: &Option<Vec<Word<'a>>>| column.as_ref().and_then(|words| words[row].known());
        let (label, symbol) = (known(&self.labels), known(&self.symbols));
        let element = match (symbol, label) {
            (Some(symbol), _) => species::from_symbol(symbol)?,
            (None, Some(label)) => species::from_label(label)?,
            (None, None) => return Err(RowError::missing("_atom_site_label or _atom_site_type_symbol")),
        };
        let name = label.or(symbol).unwrap_or_default();
        let value = |what: &str, text: &str| {
            let error = || RowError::value(format!("the {what} of site {name}"), text, "a number");
            with_uncertainty(text).ok_or_else(error)
        };
        let occupancy = value("occupancy", known(&self.occupancies).unwrap_or("1"))?;
        if (occupancy - 1.0).abs() > 1e-3 {
            return Err(RowError::PartialOccupancy { site: name.to_owned(), occupancy });
        }
        if value("attached hydrogens", known(&self.hydrogens).unwrap_or("0"))? != 0.0 {
            return Err(RowError::missing(format!("coordinates of the hydrogen atoms attached to site {name}")));
        }
        let [x, y, z] = &self.axes;
        Ok(Site { element, frac: [value("x", x[row].text)?, value("y", y[row].text)?, value("z", z[row].text)?] })
    }
}

fn operators(block: &Block, lattice: &Lattice) -> Result<Vec<Operator>, RowError> {
    let listed = ["_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz"];
    if let Some(column) = listed.iter().find_map(|tag| block.column(tag)) {
        if column.len() > MAX_OPERATORS {
            return Err(RowError::Symmetry(format!("more than {MAX_OPERATORS} symmetry operators")));
        }
        let parse = |word: Word| {
            Operator::parse(word.text)
                .ok_or_else(|| RowError::value("a symmetry operator", word.text, "like x,-y,z+1/2"))
        };
        return column.map(parse).collect();
    }
    if block.has_prefix("_space_group_symop_") {
        return Err(RowError::Symmetry(
            "magnetic symmetry operators only: list _space_group_symop_operation_xyz".into(),
        ));
    }
    let first = |tags: &[&str]| tags.iter().find_map(|tag| block.value(tag));
    let group = GroupName {
        hermann_mauguin: first(&[
            "_space_group_name_h-m_alt",
            "_space_group_name_h-m_full",
            "_space_group_name_h-m",
            "_symmetry_space_group_name_h-m",
        ]),
        hall: first(&["_space_group_name_hall", "_symmetry_space_group_name_hall"]),
        number: first(&["_space_group_it_number", "_symmetry_int_tables_number"]),
    };
    operators_of_group(&group, lattice).map_err(RowError::Symmetry)
}

/// All atoms of the cell, site by site. Images of a site that fall together are one atom, and a site that is an image
/// of an earlier one adds none; sites that coincide as they are listed are kept, for the overlap to be reported.
fn expand(
    sites: &[Site],
    operators: &[Operator],
    lattice: &Lattice,
) -> Result<(Vec<Element>, Vec<[f64; 3]>), RowError> {
    let (mut species, mut frac): (Vec<Element>, Vec<[f64; 3]>) = (Vec::new(), Vec::new());
    // Atoms that symmetry made, as opposed to those that are listed.
    let mut generated: Vec<bool> = Vec::new();
    for site in sites {
        let is_here =
            |atom: usize| generated[atom] && species[atom] == site.element && coincide(lattice, frac[atom], site.frac);
        if operators.len() > 1 && (0..frac.len()).any(is_here) {
            continue;
        }
        let mut orbit = vec![site.frac];
        for operator in operators {
            let image = operator.apply(site.frac);
            if !orbit.iter().any(|atom| coincide(lattice, *atom, image)) {
                orbit.push(image.map(|x| x - x.floor()));
            }
        }
        if frac.len() + orbit.len() > MAX_ATOMS {
            return Err(RowError::TooManyAtoms);
        }
        species.extend(std::iter::repeat_n(site.element, orbit.len()));
        generated.extend((0..orbit.len()).map(|k| k > 0));
        frac.extend(orbit);
    }
    Ok((species, frac))
}

fn coincide(lattice: &Lattice, one: [f64; 3], other: [f64; 3]) -> bool {
    let offset: [f64; 3] = std::array::from_fn(|k| one[k] - other[k]);
    let [x, y, z] = lattice.cartesian(offset.map(|d| d - d.round()));
    x * x + y * y + z * z < SAME_ATOM * SAME_ATOM
}

/// Writes a block in P 1. A CIF holds cell parameters, so the orientation is lost, but not the hand: the first two
/// vectors of a left-handed cell change places.
pub(super) fn write(out: &mut dyn Write, id: &str, structure: &Structure) -> io::Result<()> {
    let left_handed = structure.lattice.signed_volume() < 0.0;
    let [a, b, c] = structure.lattice.0;
    let ([la, lb, lc], [alpha, beta, gamma]) = Lattice(if left_handed { [b, a, c] } else { [a, b, c] }).parameters();
    let name: String = id.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
    writeln!(out, "data_{}", if name.is_empty() { "structure" } else { &name })?;
    writeln!(out, "_symmetry_space_group_name_H-M 'P 1'\n_symmetry_Int_Tables_number 1")?;
    writeln!(out, "_cell_length_a {la}\n_cell_length_b {lb}\n_cell_length_c {lc}")?;
    writeln!(out, "_cell_angle_alpha {alpha}\n_cell_angle_beta {beta}\n_cell_angle_gamma {gamma}")?;
    writeln!(out, "loop_\n _symmetry_equiv_pos_site_id\n _symmetry_equiv_pos_as_xyz\n  1 'x, y, z'")?;
    writeln!(out, "loop_\n _atom_site_type_symbol\n _atom_site_label\n _atom_site_symmetry_multiplicity")?;
    writeln!(out, " _atom_site_fract_x\n _atom_site_fract_y\n _atom_site_fract_z\n _atom_site_occupancy")?;
    for (atom, (element, [x, y, z])) in structure.species.iter().zip(&structure.frac).enumerate() {
        let (x, y) = if left_handed { (y, x) } else { (x, y) };
        writeln!(out, "  {element} {element}{} 1 {x} {y} {z} 1", atom + 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(symmetry: &str, sites: &str) -> String {
        format!(
            "data_t\n_cell_length_a 5.64(2)\n_cell_length_b 5.64\n_cell_length_c 5.64\n{symmetry}\n\
             loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n{sites}\n"
        )
    }

    #[test]
    fn a_group_is_applied_and_special_positions_are_merged() {
        let listed = "loop_ _space_group_symop.operation_xyz x,y,z -x,-y,z -x,y,-z x,-y,-z z,x,y z,-x,-y -z,-x,y -z,x,-y y,z,x -y,z,-x y,-z,-x -y,-z,x";
        for symmetry in ["_symmetry_space_group_name_H-M 'F m -3 m'", "_space_group_IT_number 225"] {
            let s = parse(&text(symmetry, "Na1 0 0 0\nCl1 .5 0.5 0.5(1)")).unwrap();
            assert_eq!(s.species.iter().filter(|e| e.symbol() == "Na").count(), 4);
            assert_eq!(s.len(), 8);
        }
        // P 2 3 (195): 1a and 3c; 0.3333 on the diagonal is 4e.
        let s = parse(&text(listed, "Na1 0 0 0\nCl1 0 .5 .5\nF1 0.3333 0.3333 0.3333")).unwrap();
        assert_eq!(s.len(), 1 + 3 + 4);
        // Magnesium, 2c of P 63/m m c, with thirds as files round them.
        let hexagonal = "_cell_angle_gamma 120\n_space_group_IT_number 194";
        assert_eq!(parse(&text(hexagonal, "Mg1 .333 .667 .25")).unwrap().len(), 2);
    }

    #[test]
    fn sites_listed_in_full_are_not_doubled() {
        let all = "Na1 0 0 0\nNa2 0 .5 .5\nNa3 .5 0 .5\nNa4 .5 .5 0\nCl1 .5 .5 .5\nCl2 .5 0 0";
        assert_eq!(parse(&text("_symmetry_space_group_name_H-M Fm-3m", all)).unwrap().len(), 8);
    }

    #[test]
    fn rows_that_are_no_structure_say_why() {
        let occupied = "data_a\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\nloop_ _atom_site_label _atom_site_fract_x \
                        _atom_site_fract_y _atom_site_fract_z _atom_site_occupancy Fe1 0 0 0 0.5(1)";
        let open = text("", "Na1 0 0 0");
        for (text, reason) in [
            (text("", "Na1 0 0 0\nCl1 1 0 0.0001"), "atoms Na1 and Cl2 overlap: 0.0006 A apart"),
            (text("", "Na1 0 0 0\nNa1 1 0 0"), "atoms Na1 and Na2 overlap: 0.0000 A apart"),
            (text("", "Xx1 0 0 0"), "unknown element \"Xx1\""),
            (text("", "Na1 0 0 ?"), "the z of site Na1 is \"?\", not a number"),
            (text("", "Na1 0 0 nan"), "the z of site Na1 is \"nan\", not a number"),
            (
                text("_symmetry_equiv_pos_as_xyz x,y,q", "Na1 0 0 0"),
                "a symmetry operator is \"x,y,q\", not like x,-y,z+1/2",
            ),
            (occupied.into(), "site Fe1 has occupancy 0.5: disordered structures cannot be used, order them first"),
            (open.replace("_cell_length_b", "_b"), "no _cell_length_b"),
            (open.replace("5.64(2)", "5.64(a)"), "_cell_length_a is \"5.64(a)\", not a number"),
            (open.replace("_fract_", "_Cartn_"), "no _atom_site_fract_x"),
            (
                open.replace("_cell_length_b", "_cell_angle_alpha 180\n_cell_length_b"),
                "cell lengths [5.64, 5.64, 5.64] A with angles [180.0, 90.0, 90.0] degrees do not form a cell",
            ),
            (
                text("loop_ _space_group_symop_magn_operation.xyz x,y,z,+1", "Na1 0 0 0"),
                "magnetic symmetry operators only: list _space_group_symop_operation_xyz",
            ),
        ] {
            assert_eq!(parse(&text).unwrap_err().to_string(), reason);
        }
    }
}
