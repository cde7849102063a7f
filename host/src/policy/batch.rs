//! Crystals as the inputs of the likelihood graphs.

use ndarray::{Array1, Array2, Array3};

use super::letters::letter_may_follow;
use super::{Hyperparameters, Restriction};
use crate::crystal::{TokenError, Tokens};
use crate::graph::Tensor;

/// Added to logits that are out of the question; far from float32's end.
const FORBIDDEN: f32 = -1e10;

/// The inputs that the likelihood graphs share, padded to the longest crystal of the batch.
#[derive(Clone, Debug)]
pub struct Features {
    inputs: Vec<(&'static str, Tensor)>,
    crystals: usize,
    sites: usize,
}

/// Why a crystal cannot be given to a policy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// Tokens that are no crystal.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// More sites than the policy has slots.
    #[error("the crystal has {sites} sites; the policy allows at most {slots}")]
    Sites {
        /// Of the crystal.
        sites: usize,
        /// `n_max` of the policy.
        slots: usize,
    },
    /// An element or Wyckoff letter that the policy has no class for.
    #[error("the policy has no class for {what} {index}")]
    Class {
        /// "atomic number" or "Wyckoff index".
        what: &'static str,
        /// The number.
        index: u8,
    },
    /// A lattice number that is NaN or infinite.
    #[error("a lattice parameter is not finite")]
    Lattice,
}

impl Features {
    /// The inputs for some crystals.
    ///
    /// # Errors
    /// [`BatchError`] for the first crystal that the policy cannot take.
    pub fn new(crystals: &[&Tokens], hyper: &Hyperparameters) -> Result<Self, BatchError> {
        Self::restricted(crystals, hyper, None)
    }

    /// The inputs for crystals under a restricted policy: [`super::ElementMask::of`] says which form of the graphs takes them.
    ///
    /// # Errors
    /// As [`Features::new`].
    pub fn restricted(
        crystals: &[&Tokens],
        hyper: &Hyperparameters,
        restriction: Option<&Restriction>,
    ) -> Result<Self, BatchError> {
        let sites = crystals.iter().map(|c| c.sites.len()).max().unwrap_or(0).max(1);
        let mut arrays = Arrays::new(crystals.len(), sites, hyper);
        for (row, crystal) in crystals.iter().enumerate() {
            check_crystal(crystal, hyper)?;
            arrays.fill(row, crystal, hyper)?;
            arrays.fill_letter_mask(row, crystal, restriction, hyper);
        }
        let mut inputs = arrays.into_inputs();
        let mask = match restriction.map(|restriction| (restriction, restriction.fixed_elements())) {
            None => element_mask(None, hyper),
            Some((_, Some(allowed))) => element_mask(Some(&allowed), hyper),
            Some((restriction, None)) => element_masks(crystals, sites, restriction, hyper),
        };
        inputs.push(("a_mask", mask));
        Ok(Self { inputs, crystals: crystals.len(), sites })
    }

    /// Names and tensors, as the graphs declare them.
    pub fn inputs(&self) -> &[(&'static str, Tensor)] {
        &self.inputs
    }

    /// Number of crystals.
    pub fn crystals(&self) -> usize {
        self.crystals
    }

    /// Tokens per crystal, pads included.
    pub fn tokens(&self) -> usize {
        5 * self.sites + 1
    }
}

/// (NA): 0 for elements that may be drawn. The pad never is.
fn element_mask(allowed: Option<&[bool]>, hyper: &Hyperparameters) -> Tensor {
    let free = |class: usize| class > 0 && allowed.is_none_or(|a| a.get(class) == Some(&true));
    Array1::from_shape_fn(hyper.atom_types, |class| if free(class) { 0.0 } else { FORBIDDEN }).into()
}

/// (b, s, NA): the same for every site, given the sites before it. Behind the last site nothing counts.
fn element_masks(crystals: &[&Tokens], sites: usize, restriction: &Restriction, hyper: &Hyperparameters) -> Tensor {
    let mut masks = Array3::zeros((crystals.len(), sites, hyper.atom_types));
    for (row, crystal) in crystals.iter().enumerate() {
        for (i, site) in crystal.sites.iter().enumerate() {
            let allowed = restriction.elements(crystal.group, &crystal.sites[..i], site.wyckoff);
            for (class, allowed) in allowed.into_iter().enumerate() {
                masks[[row, i, class]] = if allowed { 0.0 } else { FORBIDDEN };
            }
        }
    }
    masks.into()
}

/// Whether a policy of these hyper-parameters can take a crystal.
///
/// # Errors
/// [`BatchError`] with the reason.
pub fn check_crystal(crystal: &Tokens, hyper: &Hyperparameters) -> Result<(), BatchError> {
    crystal.check()?;
    let (sites, slots) = (crystal.sites.len(), hyper.n_max);
    if sites > slots {
        return Err(BatchError::Sites { sites, slots });
    }
    if crystal.lattice.iter().any(|x| !x.is_finite()) {
        return Err(BatchError::Lattice);
    }
    for site in &crystal.sites {
        if usize::from(site.species.number()) >= hyper.atom_types {
            return Err(BatchError::Class { what: "atomic number", index: site.species.number() });
        }
        if usize::from(site.wyckoff) >= hyper.wyck_types {
            return Err(BatchError::Class { what: "Wyckoff index", index: site.wyckoff });
        }
    }
    Ok(())
}

/// The inputs as arrays, one row per crystal.
struct Arrays {
    group: Array1<i64>,
    letters: Array2<i64>,
    atoms: Array2<i64>,
    coordinates: Array3<f64>,
    multiplicities: Array2<f32>,
    lattice: Array2<f64>,
    letter_mask: Array3<f32>,
    letter_weight: Array2<f32>,
    atom_weight: Array2<f32>,
    coordinate_weight: Array3<f32>,
    lattice_weight: Array2<f32>,
    lattice_slot: Array2<f32>,
}

impl Arrays {
    fn new(b: usize, s: usize, hyper: &Hyperparameters) -> Self {
        Self {
            group: Array1::zeros(b),
            letters: Array2::zeros((b, s + 1)),
            atoms: Array2::zeros((b, s)),
            coordinates: Array3::zeros((b, s, 3)),
            multiplicities: Array2::zeros((b, s + 1)),
            lattice: Array2::zeros((b, 6)),
            letter_mask: Array3::zeros((b, s + 1, hyper.wyck_types)),
            letter_weight: Array2::zeros((b, s + 1)),
            atom_weight: Array2::zeros((b, s)),
            coordinate_weight: Array3::zeros((b, s, 3)),
            lattice_weight: Array2::zeros((b, 6)),
            lattice_slot: Array2::zeros((b, s + 1)),
        }
    }

    fn fill(&mut self, row: usize, crystal: &Tokens, hyper: &Hyperparameters) -> Result<(), BatchError> {
        let (group, count) = (crystal.group, crystal.sites.len());
        self.group[row] = i64::from(group.number());
        for (i, (site, position)) in crystal.sites.iter().zip(crystal.positions()?).enumerate() {
            self.letters[[row, i]] = i64::from(site.wyckoff);
            self.atoms[[row, i]] = i64::from(site.species.number());
            self.multiplicities[[row, i]] = position.multiplicity() as f32;
            self.atom_weight[[row, i]] = 1.0;
            self.letter_weight[[row, i]] = 1.0;
            for (axis, (x, free)) in site.coord.into_iter().zip(position.fc_mask).enumerate() {
                self.coordinates[[row, i, axis]] = x;
                self.coordinate_weight[[row, i, axis]] = f32::from(u8::from(free));
            }
        }
        // The stop behind the last site counts if a slot is left for it.
        if count < hyper.n_max {
            self.letter_weight[[row, count]] = 1.0;
        }
        self.lattice_slot[[row, count.min(hyper.n_max - 1)]] = 1.0;
        for (i, free) in group.lattice_mask().into_iter().enumerate() {
            self.lattice[[row, i]] = crystal.lattice[i];
            self.lattice_weight[[row, i]] = f32::from(u8::from(free));
        }
        Ok(())
    }

    fn fill_letter_mask(
        &mut self,
        row: usize,
        crystal: &Tokens,
        restriction: Option<&Restriction>,
        hyper: &Hyperparameters,
    ) {
        let mut previous = None;
        for i in 0..=crystal.sites.len() {
            let allowed = restriction.map(|restriction| restriction.letters(crystal.group, &crystal.sites[..i]));
            for letter in 0..hyper.wyck_types {
                let may = match &allowed {
                    Some(allowed) => allowed[letter],
                    None => letter_may_follow(crystal.group, previous, letter),
                };
                if !may {
                    self.letter_mask[[row, i, letter]] = FORBIDDEN;
                }
            }
            previous = crystal.sites.get(i).map(|site| site.wyckoff);
        }
    }

    fn into_inputs(self) -> Vec<(&'static str, Tensor)> {
        vec![
            ("G", self.group.into()),
            ("W", self.letters.into()),
            ("A", self.atoms.into()),
            ("XYZ", self.coordinates.into()),
            ("M", self.multiplicities.into()),
            ("L", self.lattice.into()),
            ("w_mask", self.letter_mask.into()),
            ("w_weight", self.letter_weight.into()),
            ("a_weight", self.atom_weight.into()),
            ("xyz_weight", self.coordinate_weight.into()),
            ("l_weight", self.lattice_weight.into()),
            ("l_slot", self.lattice_slot.into()),
        ]
    }
}
