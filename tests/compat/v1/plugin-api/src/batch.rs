//! A batch of crystals as columns, and the crystals in it.

use abi_stable::std_types::RSlice;

use crate::abi::RawBatch;

/// Three vectors as rows, angstrom.
pub type Lattice = [[f64; 3]; 3];

/// Crystals to evaluate, borrowed for one call. Rows keep their order: outcome `i` belongs to crystal `i`.
///
/// Columns of atoms hold the atoms of all crystals one behind the other; those of crystal `i` are `offsets[i]..offsets[i + 1]`.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    raw: RawBatch<'a>,
}

/// One crystal of a [`Batch`]. Columns of atoms have one entry per atom of the cell.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Crystal<'a> {
    /// Lattice vectors as rows, angstrom.
    pub lattice: &'a Lattice,
    /// Atomic numbers; 1 is hydrogen.
    pub atomic_numbers: &'a [u8],
    /// Fractional coordinates; not necessarily between 0 and 1.
    pub fractional: &'a [[f64; 3]],
    /// Cartesian coordinates, angstrom: `fractional` times `lattice`.
    pub cartesian: &'a [[f64; 3]],
    /// Number of the space group, 1 to 230; `None` unless asked for ([`Properties::asks_symmetry`]) and found.
    ///
    /// [`Properties::asks_symmetry`]: crate::Properties::asks_symmetry
    pub space_group: Option<u8>,
    /// Letter of each atom's Wyckoff position as ASCII (`b'A'` follows `b'z'`); `None` where the space group is.
    pub wyckoff_letters: Option<&'a [u8]>,
    /// Energy of the cell, eV; `None` unless asked for ([`Properties::asks_energies`]) and known.
    ///
    /// [`Properties::asks_energies`]: crate::Properties::asks_energies
    pub energy: Option<f64>,
}

impl Crystal<'_> {
    /// Volume of the cell, A^3.
    pub fn volume(&self) -> f64 {
        let [a, b, c] = self.lattice;
        let cross = [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]];
        (a[0] * cross[0] + a[1] * cross[1] + a[2] * cross[2]).abs()
    }
}

impl<'a> Batch<'a> {
    pub(crate) fn of(raw: RawBatch<'a>) -> Self {
        Self { raw }
    }

    /// The columns as they cross the boundary; for hosts.
    #[doc(hidden)]
    pub fn raw(self) -> RawBatch<'a> {
        self.raw
    }

    /// Number of crystals.
    pub fn len(&self) -> usize {
        self.raw.lattices.len()
    }

    /// Whether there is no crystal. A batch without any is legal, and has no outcomes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One crystal.
    ///
    /// # Panics
    /// If there is none with this index, as slices do; the export macro turns it into an error.
    pub fn crystal(&self, index: usize) -> Crystal<'a> {
        let atoms = self.offsets()[index] as usize..self.offsets()[index + 1] as usize;
        let space_group = self.space_groups().get(index).copied().filter(|number| *number > 0);
        Crystal {
            lattice: &self.lattices()[index],
            atomic_numbers: &self.atomic_numbers()[atoms.clone()],
            fractional: &self.fractional()[atoms.clone()],
            cartesian: &self.cartesian()[atoms.clone()],
            space_group,
            wyckoff_letters: space_group.and_then(|_| self.wyckoff_letters().get(atoms)),
            energy: self.energies().get(index).copied().filter(|energy| !energy.is_nan()),
        }
    }

    /// The crystals in order.
    pub fn crystals(&self) -> impl ExactSizeIterator<Item = Crystal<'a>> + use<'a> {
        let batch = *self;
        (0..batch.len()).map(move |index| batch.crystal(index))
    }

    /// Where the atoms of each crystal begin, and after the last one the number of all atoms: `len() + 1` numbers from 0.
    pub fn offsets(&self) -> &'a [u64] {
        self.raw.offsets.as_slice()
    }

    /// Atomic number of every atom.
    pub fn atomic_numbers(&self) -> &'a [u8] {
        self.raw.atomic_numbers.as_slice()
    }

    /// Fractional coordinates of every atom.
    pub fn fractional(&self) -> &'a [[f64; 3]] {
        self.raw.fractional.as_slice()
    }

    /// Cartesian coordinates of every atom, angstrom.
    pub fn cartesian(&self) -> &'a [[f64; 3]] {
        self.raw.cartesian.as_slice()
    }

    /// Lattice vectors of every crystal, rows, angstrom.
    pub fn lattices(&self) -> &'a [Lattice] {
        self.raw.lattices.as_slice()
    }

    /// Space group of every crystal, 0 where none was found; empty unless asked for.
    pub fn space_groups(&self) -> &'a [u8] {
        self.raw.space_groups.as_slice()
    }

    /// Wyckoff letter of every atom as ASCII, 0 where none was found; empty unless asked for.
    pub fn wyckoff_letters(&self) -> &'a [u8] {
        self.raw.wyckoff_letters.as_slice()
    }

    /// Energy of every cell, eV, NaN where it is not known; empty unless asked for.
    pub fn energies(&self) -> &'a [f64] {
        self.raw.energies.as_slice()
    }
}

/// Crystals that own their columns: what a host fills, and what tests of a plugin make.
///
/// ```
/// let mut crystals = temper_plugin_api::Crystals::default();
/// crystals.push(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]], &[55, 17], &[[0.0; 3], [0.5; 3]]);
/// assert_eq!(crystals.batch().crystal(0).cartesian[1], [2.0, 2.0, 2.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Crystals {
    offsets: Vec<u64>,
    atomic_numbers: Vec<u8>,
    fractional: Vec<[f64; 3]>,
    cartesian: Vec<[f64; 3]>,
    lattices: Vec<Lattice>,
    space_groups: Vec<u8>,
    wyckoff_letters: Vec<u8>,
    energies: Vec<f64>,
}

impl Default for Crystals {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            atomic_numbers: Vec::new(),
            fractional: Vec::new(),
            cartesian: Vec::new(),
            lattices: Vec::new(),
            space_groups: Vec::new(),
            wyckoff_letters: Vec::new(),
            energies: Vec::new(),
        }
    }
}

impl Crystals {
    /// Adds a crystal: lattice vectors as rows (angstrom), and for each atom its number and fractional coordinates.
    ///
    /// # Panics
    /// If numbers and coordinates are not equally many.
    pub fn push(&mut self, lattice: &Lattice, atomic_numbers: &[u8], fractional: &[[f64; 3]]) {
        assert_eq!(atomic_numbers.len(), fractional.len(), "an atom has a number and coordinates");
        let cartesian = |f: &[f64; 3]| {
            std::array::from_fn(|axis| f[0] * lattice[0][axis] + f[1] * lattice[1][axis] + f[2] * lattice[2][axis])
        };
        self.lattices.push(*lattice);
        self.atomic_numbers.extend(atomic_numbers);
        self.fractional.extend(fractional);
        self.cartesian.extend(fractional.iter().map(cartesian));
        self.offsets.push(self.atomic_numbers.len() as u64);
    }

    /// Says the symmetry of all crystals: a space group each (0: not known) and a Wyckoff letter for each of their atoms.
    ///
    /// # Panics
    /// If they are not as many as the crystals and their atoms.
    pub fn set_symmetry(&mut self, space_groups: Vec<u8>, wyckoff_letters: Vec<u8>) {
        assert_eq!(space_groups.len(), self.lattices.len(), "a crystal has one space group");
        assert_eq!(wyckoff_letters.len(), self.atomic_numbers.len(), "an atom has one Wyckoff letter");
        (self.space_groups, self.wyckoff_letters) = (space_groups, wyckoff_letters);
    }

    /// Says the energies of all cells, eV; NaN where one is not known.
    ///
    /// # Panics
    /// If they are not as many as the crystals.
    pub fn set_energies(&mut self, energies: Vec<f64>) {
        assert_eq!(energies.len(), self.lattices.len(), "a crystal has one energy");
        self.energies = energies;
    }

    /// The crystals as a plugin sees them.
    pub fn batch(&self) -> Batch<'_> {
        Batch::of(RawBatch {
            offsets: RSlice::from_slice(&self.offsets),
            atomic_numbers: RSlice::from_slice(&self.atomic_numbers),
            fractional: RSlice::from_slice(&self.fractional),
            cartesian: RSlice::from_slice(&self.cartesian),
            lattices: RSlice::from_slice(&self.lattices),
            space_groups: RSlice::from_slice(&self.space_groups),
            wyckoff_letters: RSlice::from_slice(&self.wyckoff_letters),
            energies: RSlice::from_slice(&self.energies),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUBE: Lattice = [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]];

    fn two() -> Crystals {
        let mut crystals = Crystals::default();
        crystals.push(&CUBE, &[26], &[[0.0; 3]]);
        crystals.push(&[[1.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.5, 3.0]], &[11, 17], &[[0.0; 3], [0.5, 0.25, 1.0]]);
        crystals
    }

    #[test]
    fn crystals_have_their_own_atoms() {
        let crystals = two();
        let batch = crystals.batch();
        assert_eq!(batch.offsets(), [0, 1, 3]);
        let [iron, salt] = batch.crystals().collect::<Vec<_>>()[..] else { panic!("two crystals") };
        assert_eq!((iron.atomic_numbers, salt.atomic_numbers), (&[26][..], &[11, 17][..]));
        // 0.5 a + 0.25 b + c, by hand.
        assert_eq!(salt.cartesian[1], [0.5, 1.5, 3.0]);
        assert_eq!((iron.volume(), salt.volume()), (27.0, 6.0));
        assert_eq!((iron.space_group, iron.wyckoff_letters, iron.energy), (None, None, None));
    }

    #[test]
    fn symmetry_and_energies_are_there_where_they_are_known() {
        let mut crystals = two();
        crystals.set_symmetry(vec![221, 0], vec![b'a', 0, 0]);
        crystals.set_energies(vec![f64::NAN, -3.5]);
        let batch = crystals.batch();
        let (iron, salt) = (batch.crystal(0), batch.crystal(1));
        assert_eq!((iron.space_group, iron.wyckoff_letters, iron.energy), (Some(221), Some(&b"a"[..]), None));
        assert_eq!((salt.space_group, salt.wyckoff_letters, salt.energy), (None, None, Some(-3.5)));
    }

    #[test]
    fn a_batch_may_be_empty() {
        let crystals = Crystals::default();
        assert!(crystals.batch().is_empty() && crystals.batch().crystals().len() == 0);
    }
}
