//! The rule itself. The numbers are those of pymatgen's `MP2020Compatibility.yaml` and `MPRelaxSet.yaml` (MIT licence), which
//! are those of the paper.

use std::collections::BTreeMap;

use crate::bonds::{O, S, oxide_type, sulfide_type};
use crate::elements::{electronegativity, symbol};
use crate::oxidation::guess;
use crate::{Adjustment, Entry, Incompatible, potcar};

/// Fluorine.
const F: u8 = 9;

/// eV per atom of sulfur.
const SULFIDE: f64 = -0.503;

/// eV per atom of oxygen, by the kind of oxide.
const OXIDES: [(&str, f64); 4] = [("oxide", -0.687), ("peroxide", -0.465), ("superoxide", -0.161), ("ozonide", 0.0)];

/// Anions beside S and O, eV per atom: Br, I, Se, Si, Sb, Te, H, N, F, Cl.
const ANIONS: [(u8, f64); 10] = [
    (35, -0.534),
    (53, -0.379),
    (34, -0.472),
    (14, 0.071),
    (51, -0.192),
    (52, -0.422),
    (1, -0.179),
    (7, -0.361),
    (9, -0.462),
    (17, -0.614),
];

/// A metal whose oxides and fluorides the Materials Project computes with GGA+U.
struct Metal {
    atomic_number: u8,
    /// eV.
    hubbard: f64,
    /// eV per atom.
    correction: f64,
}

const fn metal(atomic_number: u8, hubbard: f64, correction: f64) -> Metal {
    Metal { atomic_number, hubbard, correction }
}

/// V, Cr, Mn, Fe, Co, Ni, Mo, W.
const METALS: [Metal; 8] = [
    metal(23, 3.25, -1.7),
    metal(24, 3.7, -1.999),
    metal(25, 3.9, -1.668),
    metal(26, 5.3, -2.256),
    metal(27, 3.32, -1.638),
    metal(28, 6.2, -2.541),
    metal(42, 4.38, -3.202),
    metal(74, 6.2, -4.438),
];

/// Formulas without a structure that are taken for something else than an oxide: the kind, oxygens per metal, the metals.
const SPECIAL: [(&str, f64, &[u8]); 5] = [
    ("peroxide", 1.0, &[3, 11, 19, 55, 37]),
    ("peroxide", 2.0, &[4, 12, 20, 38, 56]),
    ("superoxide", 2.0, &[3, 11, 19, 37, 55]),
    ("ozonide", 3.0, &[3, 11, 19]),
    ("ozonide", 5.0, &[11]),
];

/// The corrections of an energy, which add up; none for an element.
///
/// # Errors
/// [`Incompatible`] for an energy that was not computed as the Materials Project computes, or a structure whose bonds cannot be
/// found.
pub fn adjustments(entry: &Entry<'_>) -> Result<Vec<Adjustment>, Incompatible> {
    let run_type = &entry.run.run_type;
    if !matches!(run_type.as_deref(), Some("GGA" | "GGA+U")) {
        return Err(Incompatible::RunType { run_type: run_type.clone() });
    }
    if let Some(symbols) = &entry.run.potcar_symbols {
        potcar::check(entry.composition, symbols)?;
    }
    let mut found = Vec::new();
    if entry.composition.len() > 1 {
        sulfur(entry, &mut found)?;
        oxygen(entry, &mut found)?;
        anions(entry, &mut found);
        metals(entry, &mut found)?;
    }
    Ok(found)
}

/// The U of each element in a composition, eV: not zero for some metals where O or F is the most electronegative element.
pub(crate) fn hubbards(composition: &[(u8, f64)]) -> impl Fn(u8) -> f64 + use<> {
    let mixed = composition.len() > 1 && matches!(most_electronegative(composition), Some(O | F));
    move |element| {
        let metal = METALS.iter().find(|metal| mixed && metal.atomic_number == element);
        metal.map_or(0.0, |metal| metal.hubbard)
    }
}

fn sulfur(entry: &Entry<'_>, found: &mut Vec<Adjustment>) -> Result<(), Incompatible> {
    let Some(atoms) = amount(entry, S) else { return Ok(()) };
    let kind = match (given(&entry.known.sulfide_type), entry.structure) {
        (Some(kind), _) => Some(kind),
        (None, Some(structure)) => sulfide_type(structure)?,
        (None, None) => Some("sulfide"),
    };
    if matches!(kind, Some("sulfide" | "polysulfide")) {
        found.push(anion("S", SULFIDE, atoms));
    }
    Ok(())
}

fn oxygen(entry: &Entry<'_>, found: &mut Vec<Adjustment>) -> Result<(), Incompatible> {
    let Some(atoms) = amount(entry, O) else { return Ok(()) };
    let kind = match (given(&entry.known.oxide_type), entry.structure) {
        (Some(kind), _) => kind,
        (None, Some(structure)) => oxide_type(structure)?,
        (None, None) => oxide_of_formula(entry.composition),
    };
    let kind = if kind == "hydroxide" { "oxide" } else { kind };
    let known = OXIDES.iter().find(|(name, _)| *name == kind);
    let (name, per_atom) = known.ok_or_else(|| Incompatible::OxideType { oxide_type: kind.to_owned() })?;
    found.push(anion(name, *per_atom, atoms));
    Ok(())
}

/// An anion is bound when its oxidation state is at most -1; where nothing says that it is negative at all, when it is the most
/// electronegative element.
fn anions(entry: &Entry<'_>, found: &mut Vec<Adjustment>) {
    let present = ANIONS.iter().filter_map(|(element, per_atom)| Some((*element, *per_atom, amount(entry, *element)?)));
    let present: Vec<(u8, f64, f64)> = present.collect();
    if present.is_empty() {
        return;
    }
    let guessed: BTreeMap<u8, f64>;
    let states = match &entry.known.oxidation_states {
        Some(states) => states,
        None => {
            guessed = guess(entry.composition);
            &guessed
        }
    };
    for (element, per_atom, atoms) in present {
        let state = states.get(&element).copied().unwrap_or(0.0);
        let bound = state <= -1.0 || (state >= 0.0 && most_electronegative(entry.composition) == Some(element));
        if bound {
            found.push(anion(symbol(element), per_atom, atoms));
        }
    }
}

fn metals(entry: &Entry<'_>, found: &mut Vec<Adjustment>) -> Result<(), Incompatible> {
    let hubbard = hubbards(entry.composition);
    for (element, atoms) in entry.composition {
        let (expected, used) = (hubbard(*element), entry.run.hubbards.get(element).copied().unwrap_or(0.0));
        if used != expected {
            return Err(Incompatible::Hubbard { element: symbol(*element), found: used, expected });
        }
        if let Some(metal) = METALS.iter().find(|metal| expected > 0.0 && metal.atomic_number == *element) {
            let name = format!("MP2020 GGA/GGA+U mixing correction ({})", symbol(*element));
            found.push(Adjustment { name, per_atom: metal.correction, atoms: *atoms });
        }
    }
    Ok(())
}

fn anion(name: &str, per_atom: f64, atoms: f64) -> Adjustment {
    Adjustment { name: format!("MP2020 anion correction ({name})"), per_atom, atoms }
}

/// Text that says something.
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn amount(entry: &Entry<'_>, element: u8) -> Option<f64> {
    let found = entry.composition.iter().find(|(other, amount)| *other == element && *amount > 0.0);
    found.map(|(_, amount)| *amount)
}

/// The last of the elements with the highest electronegativity.
fn most_electronegative(composition: &[(u8, f64)]) -> Option<u8> {
    let known = composition.iter().map(|(element, _)| (*element, electronegativity(*element)));
    let highest = known.filter(|(_, x)| !x.is_nan()).max_by(|(_, a), (_, b)| a.total_cmp(b));
    highest.map(|(element, _)| element)
}

/// The kind of oxide that a formula stands for where no structure is known.
fn oxide_of_formula(composition: &[(u8, f64)]) -> &'static str {
    let (oxygens, others): (Vec<_>, Vec<_>) = composition.iter().partition(|(element, _)| *element == O);
    let ([(_, oxygen)], [(metal, amount)]) = (&oxygens[..], &others[..]) else { return "oxide" };
    let same = |ratio: f64| (oxygen - ratio * amount).abs() <= 1e-8 * oxygen;
    let special = SPECIAL.iter().find(|(_, ratio, metals)| same(*ratio) && metals.contains(metal));
    special.map_or("oxide", |(kind, _, _)| kind)
}
