//! All formats together: round trips, broken bytes, real tables.

use super::super::{Element, Lattice, Structure};
use super::csv_table::write_header;
use super::read::rows;
use super::record::RawRecord;
use super::source::Source;
use super::write::{keys, write_record};
use super::{Format, ReadError, Record, read_structures, write_structures};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const FORMATS: [Format; 5] = [Format::Cif, Format::Poscar, Format::Extxyz, Format::Csv, Format::JsonLines];

fn text_of(format: Format, records: &[Record]) -> Vec<u8> {
    let (columns, mut text) = (keys(records), Vec::new());
    if format == Format::Csv {
        write_header(&mut text, &columns).unwrap();
    }
    let columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
    for record in records {
        write_record(&mut text, format, &columns, record, record.structure.as_ref().unwrap()).unwrap();
    }
    text
}

/// All rows of a text; none when the format cannot begin or reading stops.
fn read(format: Format, text: &[u8]) -> Option<Vec<RawRecord>> {
    let source = Source::new(Box::new(std::io::Cursor::new(text.to_vec()))).unwrap();
    rows(source, format).ok()?.collect::<Result<Vec<_>, _>>().ok()
}

/// Skewed cells of both hands with one to four atoms apart from each other.
fn any_structure() -> impl Strategy<Value = Structure> {
    let lattice = (prop::array::uniform3(3.0..9.0f64), prop::array::uniform3(-4.0..4.0f64), prop::bool::ANY);
    let atoms = prop::collection::vec((1..=118u8, prop::array::uniform3(-1.5..1.5f64)), 1..5);
    (lattice, atoms).prop_filter_map("overlap", |((d, s, left), atoms)| {
        let lattice = Lattice([[if left { -d[0] } else { d[0] }, 0.0, 0.0], [s[0], d[1], 0.1], [s[1], s[2], d[2]]]);
        let species = atoms.iter().map(|(z, _)| Element::from_number(*z).unwrap()).collect();
        super::record::checked(lattice, species, atoms.iter().map(|(_, r)| *r).collect()).ok()
    })
}

fn any_extra() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        ".*".prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(json!([1, {"a": null}, "x \"y\""])),
        Just(Value::Null),
        Just(json!("_JSON [1]")),
    ];
    prop::collection::vec(("x[ -~]{0,8}", value), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

/// Distances between all pairs in the cell and its neighbours: what no setting of the same crystal changes.
fn distances(s: &Structure) -> Vec<f64> {
    let list = super::super::neighbours(s, 6.0, None, 1_000_000).unwrap();
    let mut distances = list.distance;
    distances.sort_by(f64::total_cmp);
    distances
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn json_lines_keep_every_bit(s in any_structure(), id in ".*", extra in any_extra()) {
        let record = Record { id, line: 1, structure: Ok(s), orbits: None, extra, warnings: Vec::new() };
        let rows = read(Format::JsonLines, &text_of(Format::JsonLines, std::slice::from_ref(&record))).unwrap();
        prop_assert_eq!(&rows[0].structure, &record.structure);
        prop_assert_eq!(rows[0].id.as_ref(), Some(&record.id));
        prop_assert_eq!(&rows[0].extra, &record.extra);
    }

    #[test]
    fn extended_xyz_keeps_structures_and_keys(s in any_structure(), id in "[ -~]+", extra in any_extra()) {
        let record = Record { id, line: 1, structure: Ok(s.clone()), orbits: None, extra, warnings: Vec::new() };
        let records = [record.clone(), record.clone()];
        let rows = read(Format::Extxyz, &text_of(Format::Extxyz, &records)).unwrap();
        prop_assert_eq!(rows.len(), 2);
        for row in rows {
            let found = row.structure.unwrap();
            prop_assert_eq!(found.lattice, s.lattice);
            prop_assert_eq!(&found.species, &s.species);
            prop_assert!(found.frac.iter().flatten().zip(s.frac.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-12));
            prop_assert_eq!(row.id.as_ref(), Some(&record.id));
            prop_assert_eq!(&row.extra, &record.extra);
        }
    }

    #[test]
    fn poscar_keeps_every_bit(s in any_structure()) {
        let record = Record { id: "a\nb".into(), line: 1, structure: Ok(s.clone()), orbits: None, extra: Map::new(), warnings: Vec::new() };
        let rows = read(Format::Poscar, &text_of(Format::Poscar, &[record])).unwrap();
        prop_assert_eq!(&rows[0].structure, &Ok(s));
    }

    #[test]
    fn cif_and_csv_keep_the_crystal(s in any_structure(), id in "[!-~]+", cell in ".*") {
        let extra: Map<String, Value> = [("k".to_owned(), Value::from(cell))].into_iter().collect();
        let record = Record { id: id.clone(), line: 1, structure: Ok(s.clone()), orbits: None, extra: extra.clone(), warnings: Vec::new() };
        let records = [record.clone(), record];
        for format in [Format::Cif, Format::Csv] {
            let rows = read(format, &text_of(format, &records)).unwrap();
            prop_assert_eq!(rows.len(), 2);
            for row in rows {
                let found = row.structure.unwrap();
                prop_assert_eq!(&found.species, &s.species);
                prop_assert!(found.lattice.signed_volume() > 0.0);
                let (found, expected) = (distances(&found), distances(&s));
                // An edge right at the cutoff may fall on either side of it.
                prop_assert!(found.len().abs_diff(expected.len()) <= 2);
                prop_assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-7));
                prop_assert_eq!(row.id.as_ref(), Some(&id));
                prop_assert!(format == Format::Cif || row.extra == extra);
            }
        }
    }

    #[test]
    fn broken_bytes_never_panic(
        s in any_structure(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let record = Record { id: "a".into(), line: 1, structure: Ok(s), orbits: None, extra: Map::new(), warnings: Vec::new() };
        for format in FORMATS {
            let mut text = text_of(format, std::slice::from_ref(&record));
            for (at, byte, kind) in &edits {
                let at = at.index(text.len());
                match kind {
                    0 => text[at] = *byte,
                    1 => text.insert(at, *byte),
                    2 => text[at] = b"0;'\"\n_#-,("[usize::from(*byte) % 10],
                    _ => text.extend_from_within(at..),
                }
            }
            read(format, &text);
            text.truncate(cut.index(text.len()));
            read(format, &text);
        }
    }

    #[test]
    fn any_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in FORMATS {
            read(format, &text);
        }
    }
}

fn rock_salt(id: &str) -> Record {
    let lattice = Lattice([[0.0, 2.82, 2.82], [2.82, 0.0, 2.82], [2.82, 2.82, 0.0]]);
    let species = ["Na", "Cl"].map(|symbol| Element::from_symbol(symbol).unwrap()).to_vec();
    let structure = Structure::new(lattice, species, vec![[0.0; 3], [0.5; 3]]).unwrap();
    Record { id: id.into(), line: 1, structure: Ok(structure), orbits: None, extra: Map::new(), warnings: Vec::new() }
}

#[test]
fn files_are_written_and_read_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.cif", "a.csv.gz", "a.jsonl", "a.extxyz", "a.jsonl.gz", "POSCAR", "CONTCAR.gz"] {
        let path = dir.path().join(name);
        write_structures(&path, &[rock_salt("x")]).unwrap();
        let records: Vec<Record> = read_structures(&path).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(records.len(), 1, "{name}");
        let id = if name == "POSCAR" {
            "POSCAR-1"
        } else if name == "CONTCAR.gz" {
            "CONTCAR-1"
        } else {
            "x"
        };
        assert_eq!(records[0].id, id);
        assert_eq!(records[0].structure.as_ref().unwrap().len(), 2, "{name}");
    }
    let mut refused = rock_salt("x");
    refused.extra.insert("lattice".into(), json!(1));
    let error = write_structures(&dir.path().join("b.jsonl"), &[refused]).unwrap_err();
    assert_eq!(error.to_string(), "x: the key \"lattice\" has a meaning of its own in this format; rename it");
    let error = write_structures(&dir.path().join("POSCAR"), &[]).unwrap_err().to_string();
    assert!(error.ends_with("a POSCAR holds one structure, not 0"));
}

#[test]
fn only_unreadable_files_are_errors_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    assert!(matches!(read_structures(&path("a.pdb")), Err(ReadError::UnknownFormat { .. })));
    assert!(matches!(read_structures(&path("none.cif")), Err(ReadError::Io { .. })));
    std::fs::write(path("a.csv"), "id,formula\n1,NaCl\n").unwrap();
    assert!(matches!(read_structures(&path("a.csv")), Err(ReadError::Header { .. })));
    let records: Vec<Record> = (0..300).map(|row| rock_salt(&row.to_string())).collect();
    write_structures(&path("a.jsonl.gz"), &records).unwrap();
    let bytes = std::fs::read(path("a.jsonl.gz")).unwrap();
    std::fs::write(path("a.jsonl.gz"), &bytes[..bytes.len() / 2]).unwrap();
    let rows: Vec<Result<Record, ReadError>> = read_structures(&path("a.jsonl.gz")).unwrap().collect();
    assert!(matches!(rows.last(), Some(Err(ReadError::Io { .. }))));
    assert!(rows[..rows.len() - 1].iter().all(Result::is_ok));
    std::fs::write(path("b.jsonl"), "\n{}\n").unwrap();
    let record = read_structures(&path("b.jsonl")).unwrap().next().unwrap().unwrap();
    assert_eq!((record.id.as_str(), record.line, record.structure.is_err()), ("b-1", 2, true));
}

#[test]
fn blocks_of_one_file_are_rows() {
    let text = "# comment\n\ndata_a\n_x\n;\ndata_not_a_block\n;\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n\
                loop_ _atom_site_label _atom_site_fract_x _atom_site_fract_y _atom_site_fract_z Fe1 0 0 0\ndata_\n_x 1\n";
    let rows = read(Format::Cif, text.as_bytes()).unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.id.as_deref(), row.line, row.structure.is_ok())).collect();
    assert_eq!(found, [(Some("a"), 1, true), (None, 12, false)]);
    assert!(read(Format::Cif, b"# nothing\n").unwrap().is_empty());
    assert!(read(Format::Cif, b"hello\n").unwrap()[0].structure.is_err());
}

/// Rock salt as VESTA writes it: operators in a loop, displacement parameters among the columns.
const VESTA: &str = "
#======================================================================
# CRYSTAL DATA
data_VESTA_phase_1
_chemical_name_common                  'Halite'
_cell_length_a                         5.640000
_cell_length_b                         5.640000
_cell_length_c                         5.640000
_cell_angle_alpha                      90.000000
_space_group_name_H-M_alt              'P 1'
_space_group_IT_number                 1

loop_
_space_group_symop_operation_xyz
   'x, y, z'
   'x, y+1/2, z+1/2'
   'x+1/2, y, z+1/2'
   'x+1/2, y+1/2, z'

loop_
   _atom_site_label
   _atom_site_occupancy
   _atom_site_fract_x
   _atom_site_fract_y
   _atom_site_fract_z
   _atom_site_adp_type
   _atom_site_U_iso_or_equiv
   _atom_site_type_symbol
   Na1        1.0     0.000000      0.000000      0.000000     Uiso  0.050000 Na
   Cl1        1.0     0.500000      0.500000      0.500000     Uiso  0.050000 Cl
";

/// Spinel in the manner of ICSD: origin named by a letter, oxidation states, no operators.
const ICSD: &str = "
data_31373-ICSD
_publ_author_name 'Yamanaka, T.; Takeuchi, Y.'
_cell_length_a 8.083(1)
_cell_length_b 8.083(1)
_cell_length_c 8.083(1)
_cell_angle_alpha 90.
_cell_angle_beta 90.
_cell_angle_gamma 90.
_space_group_name_H-M_alt 'F d -3 m Z'
_space_group_IT_number 227
loop_
_atom_type_symbol
_atom_type_oxidation_number
Mg2+ 2
Al3+ 3
O2- -2
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_symmetry_multiplicity
_atom_site_Wyckoff_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Mg1 Mg2+ 8 a 0.125 0.125 0.125 1.
Al1 Al3+ 16 d 0.5 0.5 0.5 1.
O1 O2- 32 e 0.2624(1) 0.2624(1) 0.2624(1) 1.
#End of data_31373-ICSD
";

/// Corundum in the manner of COD: text fields, other loops, the name of the group alone.
const COD: &str = "
data_1000032
loop_
_publ_author_name
'Lewis, J.'
'Schwarzenbach, D.'
_publ_section_title
;
 Electric field gradients and charge density in
 corundum, \\a-Al~2~O~3~
;
_symmetry_space_group_name_H-M   'R -3 c :H'
_cell_angle_gamma                120
_cell_length_a                   4.7602(4)
_cell_length_b                   4.7602(4)
_cell_length_c                   12.9933(17)
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_attached_hydrogens
_atom_site_calc_flag
Al1 0. 0. 0.35216(1) 0 d
O1 0.30624(4) 0. 0.25 0 d
loop_
_atom_site_aniso_label
_atom_site_aniso_U_11
Al1 0.0029(1)
O1 0.0033(1)
";

#[test]
fn dialects_of_cif() {
    let a = 8.083;
    // Nearest neighbours: Na-Cl at a/2; Mg-O of spinel at sqrt(3) (u - 1/8) a; Al-O of corundum as its authors give it.
    let spinel = 3f64.sqrt() * (0.2624 - 0.125) * a;
    for (text, id, atoms, distance) in
        [(VESTA, "VESTA_phase_1", 8, 2.82), (ICSD, "31373-ICSD", 56, spinel), (COD, "1000032", 30, 1.8551)]
    {
        for text in [text.to_owned(), text.replace('\n', "\r\n")] {
            let rows = read(Format::Cif, text.as_bytes()).unwrap();
            let structure = rows[0].structure.as_ref().unwrap();
            assert_eq!((rows.len(), rows[0].id.as_deref(), structure.len()), (1, Some(id), atoms));
            assert!((super::super::smallest_distance(structure) - distance).abs() < 1e-4, "{id}");
        }
    }
}

/// The folder of reference values beside the repository, if it is there.
fn shared() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("TEMPER_SHARED").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no shared data at {}", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn a_real_table_is_read_whole() {
    let Some(shared) = shared() else { return };
    let path = shared.join("data/mp_20/val_part.csv.gz");
    let start = std::time::Instant::now();
    let rows = read_structures(&path).unwrap();
    let mut count = 0;
    for record in rows {
        let record = record.unwrap();
        assert!(record.structure.is_ok(), "{} (row {}): {:?}", record.id, record.line, record.structure);
        assert!(record.id.contains('-') && record.extra.contains_key("pretty_formula"));
        count += 1;
    }
    println!("{count} structures in {:?}", start.elapsed());
    assert!(count > 1000);
}

#[test]
fn neighbour_counts_are_those_of_other_programs() {
    let Some(shared) = shared() else { return };
    let text = std::fs::read_to_string(shared.join("golden/mlip.dev.jsonl")).unwrap();
    let rows = read(Format::JsonLines, text.as_bytes()).unwrap();
    assert!(rows.len() > 100);
    for row in rows {
        let (id, structure) = (row.id.unwrap(), row.structure.unwrap());
        let list = super::super::neighbours(&structure, 6.0, Some(3.0), 10_000_000).unwrap();
        let expected = &row.extra["chgnet"];
        assert_eq!(json!(list.len()), expected["n_edges_6A"], "{id}");
        assert_eq!(json!(list.triplets.len()), expected["n_triplets_3A"], "{id}");
        let smallest = super::super::smallest_distance(&structure);
        assert!((smallest - expected["min_distance"].as_f64().unwrap()).abs() < 1e-6, "{id}: {smallest} {expected}");
        if let Some(megnet) = row.extra.get("megnet") {
            let list = super::super::neighbours(&structure, 5.0, None, 10_000_000).unwrap();
            assert_eq!(json!(list.len()), megnet["n_edges_5A"], "{id}");
        }
    }
}

/// Formula, in order of appearance, and warnings of a file's one row, or why there is none.
fn outcome(path: &Path) -> Result<(String, Vec<String>), String> {
    let mut records = read_structures(path).unwrap();
    let record = records.next().unwrap().unwrap();
    let structure = record.structure.map_err(|error| error.to_string())?;
    let warnings = record.warnings.iter().map(ToString::to_string).collect();
    let composition = super::super::Composition::of_structure(&structure).unwrap();
    let amounts = composition.amounts().iter().map(|(element, amount)| format!("{element}{amount}"));
    Ok((amounts.collect::<Vec<_>>().join(" "), warnings))
}

/// Files as people have them, with the atoms that other programs read (ascending in atomic number) and a word of the
/// warning or of the reason, if there is one.
#[test]
fn files_from_real_use() {
    let Some(folder) = shared().map(|shared| shared.join("cases/structures")).filter(|folder| folder.is_dir()) else {
        return;
    };
    for (name, formula, word) in [
        ("c_wat_label.cif", "C4 O6 Ca2", "water"),
        ("c_033_067.cif", "Mg2", ""),
        ("c_listed_in_full_2digit.cif", "Mg2", ""),
        ("c_h_missing.cif", "C2 O2", "C2 H4 O2"),
        ("c_crystallm_raw.cif", "Na1 Cl1", "Na4 Cl4"),
        ("c_T_label.cif", "", "\"T1\": give _atom_site_type_symbol"),
        ("c_OH_label.cif", "", "hydrogen"),
        ("d_wrong_screw_ops.cif", "Se6 In6", "not a group"),
        ("d_cmca_blackP.cif", "P8", ""),
        ("d_Pm3m.cif", "Cl1 Cs1", ""),
        ("c_old_hm_Fm3m_noops.cif", "Na4 Cl4", ""),
        ("c_old_hm_Pm3n_number_noops.cif", "Si2 Cr6", ""),
        ("d_hall_prime.cif", "O18 Al12", ""),
        ("c_hall_unknown_hm_known.cif", "Fe4", ""),
        ("d_R-3mH.cif", "Bi6", ""),
        ("c_R-3cH_compact_noops.cif", "O18 Al12", ""),
        ("c_calcite_R_noSuffix_number.cif", "C2 O6 Ca2", ""),
        ("c_shelx_P21c.cif", "Fe4", ""),
        ("c_findsym_origin_choice.cif", "Al2 Fe2", ""),
        ("c_coordinate_system_code.cif", "Si8", ""),
        ("c_empty_loop.cif", "Na4 Cl4", ""),
        ("c_dup_tag_same.cif", "Na4 Cl4", ""),
        ("c_cartn.cif", "Na1 Cl1", ""),
        ("c_occ_0.cif", "Na4 Cl4", ""),
        ("c_mixed_valence.cif", "O32 Fe24", ""),
        ("c_cr_only.cif", "Na4 Cl4", ""),
        ("c_cif2_triple.cif", "Na4 Cl4", ""),
        ("c_type_charge_paren.cif", "O1 Fe1", ""),
        ("c_type_Cval.cif", "C8", ""),
        ("p_fractional.vasp", "O1 Mg1", ""),
        ("x_pbc_111.extxyz", "Cl1 Cs1", ""),
        ("x_pbc_bracket.extxyz", "Cl1 Cs1", ""),
        ("x_virial_bracket2d.extxyz", "Cl1 Cs1", ""),
        ("x_numbers_I.extxyz", "Cl1 Cs1", ""),
        ("x_dup_key.extxyz", "Cl1 Cs1", ""),
        ("x_lattice_comma.extxyz", "Cl1 Cs1", ""),
        ("v_dupcol.csv", "Na4 Cl4", ""),
        ("mag1.mcif", "Na4 Cl4", ""),
        ("x1.contcar", "Cl1 Cs1", ""),
    ] {
        let (found, said) = match outcome(&folder.join(name)) {
            Ok((found, warnings)) => (found, warnings.join("; ")),
            Err(reason) => (String::new(), reason),
        };
        assert_eq!((found.as_str(), said.is_empty()), (formula, word.is_empty()), "{name}: {said}");
        assert!(said.contains(word), "{name}: {said}");
    }
}

/// One general position in each of 564 settings, by either symbol, and 66 spellings: as many atoms as the group has
/// operations, by gemmi's tables.
#[test]
fn settings_from_real_use() {
    let Some(folder) = shared().map(|shared| shared.join("cases/structures")).filter(|folder| folder.is_dir()) else {
        return;
    };
    let orders: Vec<Option<usize>> = include_str!("cif/settings.tsv")
        .lines()
        .skip(1)
        .map(|row| row.split('\t').nth(3).and_then(|order| order.parse().ok()))
        .collect();
    const SPELLINGS: [usize; 66] = [
        192, 8, 16, 4, 4, 4, 4, 8, 8, 8, 8, 4, 8, 8, 16, 16, 16, 16, 16, 8, 8, 16, 16, 0, 16, 16, 16, 16, 192, 192, 0,
        192, 32, 32, 36, 36, 36, 36, 12, 12, 12, 18, 36, 24, 24, 24, 4, 4, 6, 12, 48, 48, 96, 24, 48, 48, 32, 32, 24,
        0, 12, 4, 4, 2, 1, 2,
    ];
    // 0: two origins are possible.
    let spellings = SPELLINGS.iter().map(|order| Some(*order).filter(|order| *order > 0)).collect();
    for (name, expected) in
        [("s_settings_xhm.cif", orders.clone()), ("s_settings_hall.cif", orders), ("s_hm_variants.cif", spellings)]
    {
        let found = read_structures(&folder.join(name)).unwrap().map(Result::unwrap);
        for (record, expected) in found.zip(&expected) {
            let atoms = record.structure.as_ref().map(Structure::len);
            match expected {
                Some(order) => assert_eq!(atoms, Ok(*order), "{name}: {}", record.id),
                None => assert!(atoms.unwrap_err().to_string().contains("several origins"), "{name}: {}", record.id),
            }
        }
        assert_eq!(read_structures(&folder.join(name)).unwrap().count(), expected.len());
    }
}
