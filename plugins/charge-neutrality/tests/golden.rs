//! Against SMACT's own answers (2.2.1 and 3.2.0), where the folder with them is at hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::path::PathBuf;

use serde_json::Value;
use temper_charge_neutrality::{Tables, charge_neutral};

const SYMBOLS: &str = "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr \
    Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi \
    Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og";

fn number(symbol: &str) -> u8 {
    u8::try_from(SYMBOLS.split_whitespace().position(|s| s == symbol).unwrap() + 1).unwrap()
}

#[test]
fn verdicts_equal_those_of_both_versions() {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into();
    let folder = std::env::var_os("TEMPER_SHARED").map_or_else(beside, PathBuf::from);
    let path = folder.join("golden/validity.dev.jsonl");
    if !path.exists() {
        println!("skipped: no shared data at {}", path.display());
        return;
    }
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= 250);
    for row in rows {
        let symbols: Vec<String> = serde_json::from_value(row["symbols"].clone()).unwrap();
        let counts: Vec<f64> = serde_json::from_value(row["counts"].clone()).unwrap();
        let atoms: Vec<(u8, u32)> = symbols.iter().map(|s| number(s)).zip(counts.iter().map(|n| *n as u32)).collect();
        for (tables, key) in [(Tables::Smact2, "comp_valid_smact_2.2.1"), (Tables::Smact3, "comp_valid_smact_3.2.0")] {
            assert_eq!(charge_neutral(&atoms, tables).ok(), row[key].as_bool(), "{symbols:?} {counts:?}, {key}");
        }
    }
}
