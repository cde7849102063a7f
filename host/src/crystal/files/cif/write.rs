//! Writes a block: with the symmetry that is known, else in P 1.

use super::setting;
use crate::crystal::operation::GeneralPosition;
use crate::crystal::{Lattice, Orbits, Structure, WyckoffPosition, closest_pair};
use std::io::{self, Write};

/// Readers take images of a site for one atom if they are near: gemmi up to 0.4 A. A structure with atoms closer than this,
/// angstrom, is written in P 1, so that none of them is lost.
const MERGED: f64 = 0.5;

/// Writes a block. A CIF holds cell parameters, so the orientation of the cell is lost.
pub(in super::super) fn write(
    out: &mut dyn Write,
    id: &str,
    structure: &Structure,
    orbits: Option<&Orbits>,
) -> io::Result<()> {
    let name: String = id.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
    writeln!(out, "data_{}", if name.is_empty() { "structure" } else { &name })?;
    match orbits.and_then(|orbits| Symmetric::new(structure, orbits)) {
        Some(symmetric) => symmetric.write(out),
        None => write_p1(out, structure),
    }
}

/// All atoms. The hand of a left-handed cell is kept: its first two vectors change places.
fn write_p1(out: &mut dyn Write, structure: &Structure) -> io::Result<()> {
    let left_handed = structure.lattice.signed_volume() < 0.0;
    let [a, b, c] = structure.lattice.0;
    let cell = Lattice(if left_handed { [b, a, c] } else { [a, b, c] }).parameters();
    writeln!(out, "_symmetry_space_group_name_H-M 'P 1'\n_symmetry_Int_Tables_number 1")?;
    write_cell(out, cell)?;
    writeln!(out, "loop_\n _symmetry_equiv_pos_site_id\n _symmetry_equiv_pos_as_xyz\n  1 'x, y, z'")?;
    writeln!(out, "loop_\n _atom_site_type_symbol\n _atom_site_label\n _atom_site_symmetry_multiplicity")?;
    writeln!(out, " _atom_site_fract_x\n _atom_site_fract_y\n _atom_site_fract_z\n _atom_site_occupancy")?;
    for (atom, (element, [x, y, z])) in structure.species.iter().zip(&structure.frac).enumerate() {
        let (x, y) = if left_handed { (y, x) } else { (x, y) };
        writeln!(out, "  {element} {element}{} 1 {x} {y} {z} 1", atom + 1)?;
    }
    Ok(())
}

fn write_cell(out: &mut dyn Write, ([a, b, c], [alpha, beta, gamma]): ([f64; 3], [f64; 3])) -> io::Result<()> {
    writeln!(out, "_cell_length_a {a}\n_cell_length_b {b}\n_cell_length_c {c}")?;
    writeln!(out, "_cell_angle_alpha {alpha}\n_cell_angle_beta {beta}\n_cell_angle_gamma {gamma}")
}

/// A structure whose symmetry a file can state.
struct Symmetric<'a> {
    structure: &'a Structure,
    orbits: &'a Orbits,
    setting: &'static setting::Setting,
    general: GeneralPosition,
    /// One atom of each orbit.
    sites: Vec<(&'static WyckoffPosition, usize)>,
}

impl<'a> Symmetric<'a> {
    fn new(structure: &'a Structure, orbits: &'a Orbits) -> Option<Self> {
        let sites = orbits.first_atoms(structure)?;
        let setting = setting::standard(orbits.group)?;
        let general = GeneralPosition::of(orbits.group)?;
        let apart = structure.lattice.signed_volume() > 0.0 && closest_pair(structure).distance >= MERGED;
        apart.then_some(Self { structure, orbits, setting, general, sites })
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "_symmetry_space_group_name_H-M '{}'", self.setting.hermann_mauguin())?;
        writeln!(out, "_symmetry_space_group_name_Hall '{}'", self.setting.hall_symbol())?;
        writeln!(out, "_symmetry_Int_Tables_number {}", self.orbits.group)?;
        if let Some(code) = self.setting.code() {
            writeln!(out, "_space_group_IT_coordinate_system_code {code}")?;
        }
        let (lengths, angles) = self.structure.lattice.parameters();
        write_cell(out, self.orbits.group.symmetrize_lattice(lengths, angles))?;
        writeln!(out, "loop_\n _symmetry_equiv_pos_site_id\n _symmetry_equiv_pos_as_xyz")?;
        for (operation, number) in self.general.operations().zip(1..) {
            writeln!(out, "  {number} '{operation}'")?;
        }
        self.write_sites(out)
    }

    fn write_sites(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "loop_\n _atom_site_type_symbol\n _atom_site_label\n _atom_site_symmetry_multiplicity")?;
        writeln!(out, " _atom_site_Wyckoff_symbol\n _atom_site_fract_x\n _atom_site_fract_y\n _atom_site_fract_z")?;
        writeln!(out, " _atom_site_occupancy")?;
        for ((position, atom), number) in self.sites.iter().zip(1..) {
            let (element, [x, y, z]) = (self.structure.species[*atom], self.structure.frac[*atom]);
            let (multiplicity, letter) = (position.multiplicity(), position.letter());
            writeln!(out, "  {element} {element}{number} {multiplicity} {letter} {x} {y} {z} 1")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Site, SpaceGroup, Tokens, wyckoff_positions};
    use std::f64::consts::FRAC_PI_2;

    fn text(structure: &Structure, orbits: Option<&Orbits>) -> String {
        let mut text = Vec::new();
        write(&mut text, "x", structure, orbits).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn read(text: &str) -> Structure {
        let mut warnings = Vec::new();
        let structure = super::super::parse(text, &mut warnings).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}\n{text}");
        structure
    }

    /// Whether both have the same cell, and for each atom one of the same element at the same place.
    fn is_same(one: &Structure, other: &Structure) -> bool {
        let near = |x: f64| (x - x.round()).abs() < 1e-9;
        let at = |atom: usize, place: usize| {
            let apart = std::array::from_fn::<f64, 3, _>(|k| one.frac[atom][k] - other.frac[place][k]);
            one.species[atom] == other.species[place] && apart.into_iter().all(near)
        };
        let cells = one.lattice.0.as_flattened().iter().zip(other.lattice.0.as_flattened());
        one.len() == other.len()
            && cells.into_iter().all(|(a, b)| (a - b).abs() < 1e-9)
            && (0..one.len()).all(|atom| (0..one.len()).any(|place| at(atom, place)))
    }

    #[test]
    fn every_wyckoff_position_of_every_group_is_read_back() {
        let silicon = Element::from_symbol("Si").unwrap();
        for group in SpaceGroup::all() {
            for position in wyckoff_positions(group) {
                let site = Site { wyckoff: position.index, species: silicon, coord: [0.152, 0.199, 0.432] };
                let lattice = [8.0, 8.5, 9.0, 1.5, 1.6, 1.7];
                let tokens = Tokens { group, lattice, sites: vec![site] };
                let (structure, orbits) = (tokens.to_structure().unwrap(), tokens.orbits());
                let text = text(&structure, Some(&orbits));
                let line = format!("Si Si1 {} {} ", position.multiplicity(), position.letter());
                assert!(text.contains(&line), "group {group} {line}\n{text}");
                assert!(is_same(&structure, &read(&text)), "{text}");
            }
        }
    }

    /// Names of the standard settings in gemmi 0.7.5: `find_spacegroup_by_name`, with origin choice 2 and hexagonal axes.
    #[test]
    fn settings_are_named() {
        let names = |number| {
            let setting = setting::standard(SpaceGroup::new(number).unwrap()).unwrap();
            [setting.hermann_mauguin(), setting.hall_symbol()]
        };
        assert_eq!(names(1), ["P 1", "P 1"]);
        assert_eq!(names(14), ["P 1 21/c 1", "-P 2ybc"]);
        assert_eq!(names(62), ["P n m a", "-P 2ac 2n"]);
        assert_eq!(names(155), ["R 3 2 :H", "R 3 2\""]);
        assert_eq!(names(227), ["F d -3 m :2", "-F 4vw 2vw 3"]);
    }

    /// Pm: the mirror planes are y = 0 and y = 1/2, the general position is c.
    #[test]
    fn what_readers_would_merge_is_written_in_p1() {
        let written = |y| {
            let lattice = [4.0, 4.0, 4.0, FRAC_PI_2, FRAC_PI_2, FRAC_PI_2];
            let sites = vec![Site { wyckoff: 3, species: Element::from_symbol("O").unwrap(), coord: [0.1, y, 0.3] }];
            let tokens = Tokens { group: SpaceGroup::new(6).unwrap(), lattice, sites };
            text(&tokens.to_structure().unwrap(), Some(&tokens.orbits()))
        };
        assert!(written(0.25).contains("'P 1 m 1'") && written(0.25).contains("O O1 2 c 0.1 0.25 0.3 1"));
        let merged = written(0.04);
        assert!(merged.contains("'P 1'") && merged.contains("O O2 1 "), "{merged}");
    }
}
