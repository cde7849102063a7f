//! The Wyckoff orbits that the atoms of a structure make up.

use super::{SpaceGroup, Structure, WyckoffPosition, wyckoff_position};

/// The symmetry of a structure that stands in the conventional cell of its space group, in the setting of [`SpaceGroup`], with its
/// atoms orbit after orbit and within an orbit in the order of the position's operators, as [`super::Tokens::to_structure`] gives
/// it. Moving the atoms or the cell as the group allows changes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orbits {
    /// Space group.
    pub group: SpaceGroup,
    /// Wyckoff index (1..=27) of each orbit.
    pub wyckoff: Vec<u8>,
}

impl Orbits {
    /// The Wyckoff position of each orbit and the atom that comes first in it; `None` if these are not the orbits of a structure with
    /// as many atoms.
    pub fn first_atoms(&self, structure: &Structure) -> Option<Vec<(&'static WyckoffPosition, usize)>> {
        let mut atoms = 0;
        let orbit = |index: &u8| {
            let position = wyckoff_position(self.group, *index)?;
            let first = atoms;
            atoms += position.multiplicity();
            Some((position, first))
        };
        let first_atoms = self.wyckoff.iter().map(orbit).collect::<Option<Vec<_>>>()?;
        (atoms == structure.len()).then_some(first_atoms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Lattice};

    #[test]
    fn orbits_are_those_of_as_many_atoms() {
        let lattice = Lattice([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]]);
        let oxygen = Element::from_symbol("O").unwrap();
        let frac = vec![[0.0; 3], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
        let structure = Structure::new(lattice, vec![oxygen; 4], frac).unwrap();
        let orbits = |wyckoff: &[u8]| Orbits { group: SpaceGroup::new(221).unwrap(), wyckoff: wyckoff.to_vec() };
        let first = |wyckoff| orbits(wyckoff).first_atoms(&structure).map(|all| all.iter().map(|o| o.1).collect());
        assert_eq!(first(&[1, 3]), Some(vec![0, 1]));
        assert_eq!(first(&[3, 1]), Some(vec![0, 3]));
        assert_eq!((first(&[3]), first(&[]), first(&[0]), first(&[99])), (None, None, None, None));
    }
}
