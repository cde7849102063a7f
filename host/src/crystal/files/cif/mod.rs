//! CIF: one structure per `data_` block, its sites expanded by its symmetry operators.

mod agreement;
mod hall;
mod operator;
mod orbit;
mod setting;
mod sites;
mod symmetry;
mod syntax;
mod write;

use super::super::{Lattice, Structure};
use super::record::{RawRecord, RecordWarning, RowError, measured, number};
use super::source::Source;
use agreement::Agreement;
use operator::{Distinct, Operator};
use orbit::{Atoms, Symmetry, Tolerance, expand};
use sites::Site;
use std::io;
use symmetry::{GroupName, operators_of_group};
use syntax::{Block, Version, Word};
pub(super) use write::write;

/// Operators that a file may list: the largest groups have 192, in a centred supercell some more.
const MAX_OPERATORS: usize = 2000;

/// Images of one site are one atom only if they are nearer than this part of the smallest distance.
const SPREAD: f64 = 0.25;

/// The blocks of a file.
pub(super) fn rows(mut source: Source) -> impl Iterator<Item = io::Result<RawRecord>> + Send {
    let mut next_block = Vec::new();
    let mut version = None;
    std::iter::from_fn(move || {
        let first_line = source.line().max(1);
        let text = match next_text(&mut source, &mut next_block) {
            Ok(text) => text?,
            Err(error) => return Some(Err(error)),
        };
        let version = *version.get_or_insert_with(|| Version::of(&text));
        let block = Block::parse(&text, first_line, version);
        let id = block.as_ref().ok().map(|block| block.name.to_owned()).filter(|name| !name.is_empty());
        let mut warnings = Vec::new();
        let structure = block.and_then(|block| structure(&block, &mut warnings));
        Some(Ok(RawRecord { id, line: first_line, structure, extra: serde_json::Map::new(), warnings }))
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
            return Ok((!blank).then(|| as_text(text)));
        }
        let line = text[start..].trim_ascii_start();
        in_text_field ^= text[start] == b';';
        if !in_text_field && line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"data_")) && !blank {
            *pending = text.split_off(start);
            return Ok(Some(as_text(text)));
        }
        blank &= line.is_empty() || line[0] == b'#';
    }
}

fn as_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The structure of a text that holds one block.
pub(super) fn parse(text: &str, warnings: &mut Vec<RecordWarning>) -> Result<Structure, RowError> {
    // Lines may end as they did on the Macintosh.
    if text.contains('\r') {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        return structure(&Block::parse(&text, 1, Version::of(&text))?, warnings);
    }
    structure(&Block::parse(text, 1, Version::of(text))?, warnings)
}

fn structure(block: &Block, warnings: &mut Vec<RecordWarning>) -> Result<Structure, RowError> {
    let lattice = cell(block)?;
    let sites = sites::sites(block, &lattice, warnings)?;
    let listed = listed_operators(block)?;
    let is_listed = listed.is_some();
    let symmetry = match listed.map(Distinct::new) {
        Some(listed) => Symmetry { is_group: listed.is_group(), operators: listed.into_operators() },
        None => {
            let operators = operators_of_group(&group_name(block), &lattice, warnings).map_err(RowError::Symmetry)?;
            Symmetry { operators, is_group: true }
        }
    };
    if !symmetry.is_group {
        warnings.push(RecordWarning::NotAGroup { count: symmetry.operators.len() });
    }
    let (structure, multiplicities) = atoms(&sites, &symmetry, lattice)?;
    let agreement = Agreement { block, sites: &sites, structure: &structure };
    agreement.check(&symmetry, &multiplicities, is_listed.then_some(group_name), warnings);
    Ok(structure)
}

/// All atoms, and how many each site gives. Images that the rounding of coordinates puts apart are one atom, unless other
/// atoms are as near.
fn atoms(sites: &[Site], symmetry: &Symmetry, lattice: Lattice) -> Result<(Structure, Vec<usize>), RowError> {
    let build = |tolerance| -> Result<(Structure, f64, f64, Vec<usize>), RowError> {
        let Atoms { species, frac, multiplicities, spread, .. } = expand(sites, symmetry, &lattice, tolerance)?;
        let (structure, closest) = measured(lattice, species, frac)?;
        Ok((structure, closest, spread, multiplicities))
    };
    match build(Tolerance::Rounding) {
        Ok((structure, closest, spread, multiplicities)) if spread <= SPREAD * closest => {
            Ok((structure, multiplicities))
        }
        _ => build(Tolerance::Fixed).map(|(structure, _, _, multiplicities)| (structure, multiplicities)),
    }
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

/// The symmetry operators that are listed, those of a magnetic group without their time reversal.
fn listed_operators(block: &Block) -> Result<Option<Vec<Operator>>, RowError> {
    let listed = ["_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz"];
    let is_known = |tag: &&str| block.column(tag).is_some_and(|column| column.is_known());
    if let Some(tag) = listed.iter().find(|tag| is_known(tag)) {
        return operators(block, tag, Operator::parse).map(Some);
    }
    let magnetic = ["_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_centering_xyz"];
    if is_known(&magnetic[0]) {
        let operations = operators(block, magnetic[0], without_time_reversal)?;
        let centring = if is_known(&magnetic[1]) {
            operators(block, magnetic[1], without_time_reversal)?
        } else {
            vec![Operator::IDENTITY]
        };
        if operations.len() * centring.len() > MAX_OPERATORS {
            return Err(too_many_operators());
        }
        let shifted = |shift: &Operator| operations.iter().map(|operation| shift.after(operation)).collect::<Vec<_>>();
        return Ok(Some(centring.iter().flat_map(shifted).collect()));
    }
    if block.has_prefix("_space_group_symop_magn_") || block.has_prefix("_space_group_magn_") {
        return Err(RowError::Symmetry(
            "a magnetic space group without its operators: list _space_group_symop_magn_operation.xyz".into(),
        ));
    }
    Ok(None)
}

fn operators(block: &Block, tag: &str, parse: fn(&str) -> Option<Operator>) -> Result<Vec<Operator>, RowError> {
    let Some(column) = block.column(tag) else { return Ok(Vec::new()) };
    if column.len() > MAX_OPERATORS {
        return Err(too_many_operators());
    }
    let parse = |word: Word| {
        parse(word.text).ok_or_else(|| RowError::value("a symmetry operator", word.text, "like x,-y,z+1/2"))
    };
    column.words().map(parse).collect()
}

fn too_many_operators() -> RowError {
    RowError::Symmetry(format!("more than {MAX_OPERATORS} symmetry operators"))
}

/// Of `x,-y,z+1/2,-1`.
fn without_time_reversal(text: &str) -> Option<Operator> {
    let (operator, reversal) = text.rsplit_once(',')?;
    matches!(reversal.trim(), "+1" | "-1" | "1").then(|| Operator::parse(operator))?
}

fn group_name<'a>(block: &Block<'a>) -> GroupName<'a> {
    const SYMBOLS: [&str; 4] = [
        "_space_group_name_h-m_alt",
        "_space_group_name_h-m_full",
        "_space_group_name_h-m",
        "_symmetry_space_group_name_h-m",
    ];
    let first = |tags: &[&str]| tags.iter().find_map(|tag| block.value(tag));
    let symbols = || SYMBOLS.iter().filter_map(|tag| block.value(tag));
    let hall = first(&["_space_group_name_hall", "_symmetry_space_group_name_hall"]);
    GroupName {
        hermann_mauguin: symbols().find(|symbol| setting::is_known(symbol)).or(symbols().next()),
        hall: hall.or_else(|| reference_setting(block)),
        number: first(&["_space_group_it_number", "_symmetry_int_tables_number"]),
        code: first(&["_space_group_it_coordinate_system_code"]),
    }
}

/// The Hall symbol of a setting such as `059:-P 2ab 2a` that is also the file's.
fn reference_setting<'a>(block: &Block<'a>) -> Option<&'a str> {
    let transform = block.value("_space_group_transform_pp_abc")?;
    let is_identity = transform.replace(' ', "") == "a,b,c;0,0,0";
    block.value("_space_group_reference_setting")?.split_once(':').map(|(_, hall)| hall).filter(|_| is_identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Structure, RowError> {
        super::parse(text, &mut Vec::new())
    }

    /// Formula in order of appearance, and the warnings.
    fn warned(text: &str) -> (String, Vec<String>) {
        let mut warnings = Vec::new();
        let structure = super::parse(text, &mut warnings).unwrap();
        (agreement::formula_of(&structure.species), warnings.iter().map(ToString::to_string).collect())
    }

    fn text(symmetry: &str, sites: &str) -> String {
        format!(
            "data_t\n_cell_length_a 5.64(2)\n_cell_length_b 5.64\n_cell_length_c 5.64\n{symmetry}\n\
             loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n{sites}\n"
        )
    }

    #[test]
    fn the_formula_settles_what_a_label_can_mean() {
        let sites = "NA1 0 0 0\nCL1 .5 .5 .5";
        let refused = parse(&text("_symmetry_space_group_name_H-M 'F m -3 m'", sites)).unwrap_err().to_string();
        assert!(refused.contains("\"NA1\": it can be Na or N"), "{refused}");
        let formula = "_symmetry_space_group_name_H-M 'F m -3 m'\n_chemical_formula_sum 'Cl Na'";
        assert_eq!(warned(&text(formula, sites)), ("Na4 Cl4".to_owned(), Vec::new()));
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
    }

    const HEXAGONAL: &str = "_cell_angle_gamma 120\n_space_group_IT_number 194";

    #[test]
    fn rounded_coordinates_are_moved_onto_special_positions() {
        // 2c of P 63/m m c is 1/3 2/3 1/4, 6h is x 2x 1/4, 4f is 1/3 2/3 z, 12j is general but for z = 1/4.
        for (site, atoms, place) in [
            (".333 .667 .25", 2, [1.0 / 3.0, 2.0 / 3.0, 0.25]),
            ("0.33 0.67 0.25", 2, [1.0 / 3.0, 2.0 / 3.0, 0.25]),
            ("0.33 0.66 0.25", 2, [1.0 / 3.0, 2.0 / 3.0, 0.25]),
            ("0.3 0.7 0", 4, [1.0 / 3.0, 2.0 / 3.0, 0.0]),
            ("0.33 0.67 0.07", 4, [1.0 / 3.0, 2.0 / 3.0, 0.07]),
            ("0.17 0.33 0.25", 6, [0.165, 0.33, 0.25]),
            ("0.12 0.45 0.25", 12, [0.12, 0.45, 0.25]),
        ] {
            let s = parse(&text(HEXAGONAL, &format!("Mg1 {site}"))).unwrap();
            assert_eq!(s.len(), atoms, "{site}");
            assert!((0..3).all(|k| (s.frac[0][k] - place[k]).abs() < 4e-3), "{site}: {:?}", s.frac[0]);
        }
        let s = parse(&text(HEXAGONAL, "Mg1 0.33 0.67 0.25")).unwrap();
        assert!((s.frac[0][0] - 1.0 / 3.0).abs() < 1e-12 && (s.frac[0][1] - 2.0 / 3.0).abs() < 1e-12);
        // Precise coordinates near a special position are those of several atoms.
        assert_eq!(parse(&text(HEXAGONAL, "Mg1 0.3300 0.6700 0.2500")).unwrap().len(), 6);
        // Images are one atom only where nothing else is as near.
        let mirror = "_space_group_name_H-M_alt 'P m m m'";
        assert_eq!(parse(&text(mirror, "H1 0.01 0 0")).unwrap().len(), 1);
        assert_eq!(parse(&text(mirror, "H1 0.01 0 0\nH2 0.02 0.05 0")).unwrap().len(), 2 + 4);
    }

    #[test]
    fn sites_listed_in_full_are_not_doubled() {
        let all = "Na1 0 0 0\nNa2 0 .5 .5\nNa3 .5 0 .5\nNa4 .5 .5 0\nCl1 .5 .5 .5\nCl2 .5 0 0";
        assert_eq!(parse(&text("_symmetry_space_group_name_H-M Fm-3m", all)).unwrap().len(), 8);
        assert_eq!(parse(&text(HEXAGONAL, "Mg1 0.33 0.67 0.25\nMg2 0.67 0.33 0.75")).unwrap().len(), 2);
        let general = "Mg1 0.11 0.37 0.07\nMg2 0.74 0.11 0.57";
        assert_eq!(parse(&text(HEXAGONAL, general)).unwrap().len(), 24);
    }

    fn occupied(sites: &str) -> String {
        text("", sites).replace("_atom_site_label", "_atom_site_label\n_atom_site_type_symbol\n_atom_site_occupancy")
    }

    #[test]
    fn shares_of_one_element_are_one_atom() {
        let formula = |sites: &str| warned(&occupied(sites)).0;
        assert_eq!(formula("Fe1 Fe2+ 0.5 0 0 0\nFe2 Fe3+ 0.5 0 0 1\nO1 O 1 .5 .5 .5"), "Fe1 O1");
        assert_eq!(formula("Fe1 Fe2+ 0.3333 0 0 0\nFe2 Fe3+ 0.6667 0 0 0"), "Fe1");
        assert_eq!(formula("Na1 Na 1.0 0 0 0\nQ1 H 0 .1 .1 .1"), "Na1");
        for (sites, site, occupancy) in [
            ("Fe1 Fe 0.5 0 0 0\nMn1 Mn 0.5 0 0 0", "Fe1", 0.5),
            ("Fe1 Fe2+ 0.5 0 0 0\nFe2 Fe3+ 0.4 0 0 0", "Fe1", 0.9),
            ("Fe1 Fe 0.5 0 0 0\nFe2 Fe 0.5 .1 0 0", "Fe1", 0.5),
        ] {
            let site = site.to_owned();
            assert_eq!(parse(&occupied(sites)), Err(RowError::PartialOccupancy { site, occupancy }));
        }
    }

    #[test]
    fn what_the_file_says_of_its_atoms_is_compared() {
        let salt = "Na1 0 0 0\nCl1 .5 .5 .5";
        let fm3m = "_symmetry_space_group_name_H-M 'F m -3 m'\n";
        let identity = "loop_ _symmetry_equiv_pos_as_xyz x,y,z\n";
        let screw = "_cell_angle_gamma 120\nloop_ _symmetry_equiv_pos_as_xyz x,y,z x-y,x,z+1/2 -x,-y,z+1/2";
        for (symmetry, formula, warning) in [
            (
                format!("{fm3m}_chemical_formula_sum 'Na Cl O2'\n_cell_formula_units_Z 4"),
                "Na4 Cl4",
                "the chemical formula is Na Cl O2, the sites and symmetry operators give Na4 Cl4",
            ),
            (
                format!("{fm3m}{identity}_chemical_formula_sum 'Na4 Cl4'"),
                "Na1 Cl1",
                "the cell should hold at least one unit of Na4 Cl4, the sites and symmetry operators give Na1 Cl1",
            ),
            (format!("{fm3m}{identity}_chemical_formula_sum 'Cl Na'\n_cell_formula_units_Z 2"), "Na1 Cl1", ""),
            (
                format!("{fm3m}_chemical_formula_sum 'Cl Na'\n_cell_formula_units_Z 2"),
                "Na4 Cl4",
                "the cell should hold 2 units of Cl Na, the sites and symmetry operators give Na4 Cl4",
            ),
            (
                format!("{fm3m}{identity}"),
                "Na1 Cl1",
                "the listed symmetry operators give Na1 Cl1, those of space group \"F m -3 m\" would give Na4 Cl4",
            ),
            (screw.into(), "Na2 Cl3", "the 3 symmetry operators are not a group"),
            (format!("{fm3m}_chemical_formula_sum 'Cl4 Na4'\n_cell_formula_units_Z 4"), "Na4 Cl4", ""),
            (fm3m.into(), "Na4 Cl4", ""),
        ] {
            let (found, warnings) = warned(&text(&symmetry, salt));
            assert_eq!((found.as_str(), warnings.join("; ").as_str()), (formula, warning), "{symmetry}");
        }
        let all = "Na1 0 0 0\nNa2 0 .5 .5\nNa3 .5 0 .5\nNa4 .5 .5 0\nCl1 .5 .5 .5\nCl2 .5 0 0\nCl3 0 .5 0\nCl4 0 0 .5";
        assert_eq!(warned(&text(&format!("{fm3m}{identity}"), all)), ("Na4 Cl4".into(), vec![]));
        let water = warned(&text("", "Ca1 0 0 0\nWat1 .5 .5 .5")).1;
        assert_eq!(water, ["site Wat1 is the oxygen of water, and no hydrogen atoms are listed"]);
        assert!(warned(&text("", "Ow1 0 0 0\nHw1 .1 .1 .1\nHw2 .1 .1 .9")).1.is_empty());
    }

    #[test]
    fn multiplicities_are_compared() {
        let multiplicity = |symmetry: &str, sites: &str| {
            warned(
                &text(symmetry, sites)
                    .replace("_atom_site_label", "_atom_site_label\n_atom_site_symmetry_multiplicity"),
            )
            .1
        };
        let listed = "loop_ _symmetry_equiv_pos_as_xyz x,y,z";
        let warning = "site Na1 has multiplicity 4, the symmetry operators give 1: Na1 Cl1 in all";
        assert_eq!(multiplicity(listed, "Na1 4 0 0 0\nCl1 4 .5 .5 .5"), [warning]);
        let group = "_symmetry_space_group_name_H-M 'F m -3 m'";
        assert!(multiplicity(group, "Na1 4 0 0 0\nCl1 4 .5 .5 .5").is_empty());
        // The order of the site symmetry instead, 192 / 4.
        assert!(multiplicity(group, "Na1 48 0 0 0\nCl1 48 .5 .5 .5").is_empty());
    }

    #[test]
    fn cartesian_coordinates_are_in_the_standard_orientation_or_that_of_the_matrix() {
        let cell = "_cell_angle_gamma 120";
        let cartesian = |extra: &str, sites: &str| {
            parse(&text(&format!("{cell}\n{extra}"), sites).replace("_site_fract_", "_site_Cartn_"))
        };
        // b/2 of a hexagonal cell.
        let half = "Na1 0 0 0\nCl1 -1.41 2.4421916 2.82";
        let s = cartesian("", half).unwrap();
        assert!((0..3).all(|k| (s.frac[1][k] - [0.0, 0.5, 0.5][k]).abs() < 1e-6), "{:?}", s.frac);
        let matrix: String = ["11 0 12 .1 13 0", "21 .1 22 0 23 0", "31 0 32 0 33 .1"]
            .iter()
            .flat_map(|row| {
                row.split(' ')
                    .collect::<Vec<_>>()
                    .chunks(2)
                    .map(|p| format!("_atom_sites_fract_tran_matrix_{} {}\n", p[0], p[1]))
                    .collect::<Vec<_>>()
            })
            .collect();
        let s = cartesian(&format!("{matrix}_atom_sites_fract_tran_vector_1 0.25"), "Na1 1 2 3").unwrap();
        assert!((0..3).all(|k| (s.frac[0][k] - [0.45, 0.1, 0.3][k]).abs() < 1e-12), "{:?}", s.frac);
        let error = cartesian("_atom_sites_Cartn_tran_matrix_11 1", half).unwrap_err().to_string();
        assert!(error.starts_with("no _atom_sites_fract_tran_matrix"), "{error}");
    }

    #[test]
    fn magnetic_operators_are_applied_without_time_reversal() {
        let listed = "loop_ _space_group_symop_magn_operation.xyz x,y,z,+1 -x,-y,-z,-1\n\
                      loop_ _space_group_symop_magn_centering.xyz x,y,z,+1 x+1/2,y+1/2,z,-1";
        assert_eq!(parse(&text(listed, "Mn1 0 0 0\nO1 .1 .2 .3")).unwrap().len(), 2 + 4);
        let error = parse(&text("_space_group_magn.name_BNS \"P 2'/m\"", "Mn1 0 0 0")).unwrap_err().to_string();
        assert!(error.contains("list _space_group_symop_magn_operation.xyz"), "{error}");
    }

    #[test]
    fn further_spellings_are_read() {
        let group = "_symmetry_space_group_name_H-M 'F m -3 m'";
        let plain = text(group, "Na1 0 0 0\nCl1 .5 .5 .5");
        let second = plain.replace("data_t", "#\\#CIF_2.0\ndata_t\n_publ_title '''It's\n'''\n_x [1 2]");
        let dummy = text(group, "Na1 0 0 0 .\nCl1 .5 .5 .5 .\nX1 ? ? ? dum")
            .replace("_fract_z\n", "_fract_z\n_atom_site_calc_flag\n");
        let named = text(
            "_space_group.transform_Pp_abc a,b,c;0,0,0\n_space_group.reference_setting '225:-F 4 2 3'",
            "Na1 0 0 0\nCl1 .5 .5 .5",
        );
        let two_names = plain.replace(group, &format!("_space_group_name_H-M_alt 'F cubic'\n{group}"));
        for text in
            [&plain, &plain.replace('\n', "\r"), &plain.replace('\n', "\r\n"), &second, &dummy, &named, &two_names]
        {
            assert_eq!(warned(text), ("Na4 Cl4".into(), vec![]), "{text}");
        }
    }

    #[test]
    fn rows_that_are_no_structure_say_why() {
        let open = text("", "Na1 0 0 0");
        for (text, reason) in [
            (text("", "Na1 0 0 0\nCl1 1 0 0.0001"), "atoms Na1 and Cl2 overlap: 0.0006 A apart"),
            (text("", "Na1 0 0 0\nNa1 1 0 0"), "atoms Na1 and Na2 overlap: 0.0000 A apart"),
            (text("", "Xx1 0 0 0"), "no element is certain from the site label \"Xx1\": give _atom_site_type_symbol"),
            (text("", "O-H 0 0 0"), "site \"O-H\" stands for several atoms, hydrogen among them without coordinates"),
            (text("", "Na1 0 0 ?"), "the z of site Na1 is \"?\", not a number"),
            (text("", "Na1 0 0 nan"), "the z of site Na1 is \"nan\", not a number"),
            (
                text("_symmetry_equiv_pos_as_xyz x,y,q", "Na1 0 0 0"),
                "a symmetry operator is \"x,y,q\", not like x,-y,z+1/2",
            ),
            (
                occupied("Fe1 Fe 0.5(1) 0 0 0"),
                "site Fe1 has occupancy 0.5: disordered structures cannot be used, order them first",
            ),
            (open.replace("_cell_length_b", "_b"), "no _cell_length_b"),
            (open.replace("5.64(2)", "5.64(a)"), "_cell_length_a is \"5.64(a)\", not a number"),
            (open.replace("_fract_", "_other_"), "no _atom_site_fract_x"),
            (
                open.replace("_cell_length_b", "_cell_angle_alpha 180\n_cell_length_b"),
                "cell lengths [5.64, 5.64, 5.64] A with angles [180.0, 90.0, 90.0] degrees do not form a cell",
            ),
        ] {
            assert_eq!(parse(&text).unwrap_err().to_string(), reason);
        }
    }
}
