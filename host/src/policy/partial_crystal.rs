//! A crystal being written: what is drawn from the network's rows, token by token (spec section 7).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::head::{self, CoordinateMixture, HeadError, LatticeMixture};
use super::random::DrawError;
use super::{Hyperparameters, Restriction, SampleStream, Temperatures};
use crate::crystal::{Element, Site, SpaceGroup, Tokens, WyckoffPosition, wyckoff_position};

/// The distribution that is drawn from.
#[derive(Clone, Debug)]
pub struct SampleSettings {
    /// 1 draws from the policy itself; 0 takes the most likely token. On top of the policy's own temperatures.
    pub temperature: Temperatures,
    /// Share of the probability that is drawn from, most likely classes first; 1 for all.
    pub top_p: f64,
    /// Where only some crystals are wanted.
    pub restriction: Option<Arc<Restriction>>,
}

impl SampleSettings {
    /// The policy itself, or its restriction.
    pub fn of_policy(restriction: Option<Arc<Restriction>>) -> Self {
        Self { temperature: Temperatures::default(), top_p: 1.0, restriction }
    }
}

/// Why a sample is no crystal.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// A row of the network that is no distribution.
    #[error("the policy's output is not a distribution: {0}")]
    Head(#[from] HeadError),
    /// A distribution that nothing can be drawn from.
    #[error("nothing can be drawn: {0}")]
    Draw(#[from] DrawError),
    /// An atom class that no element has.
    #[error("the policy drew atom class {class}, which is not an element")]
    NotAnElement {
        /// The class.
        class: usize,
    },
    /// A crystal that all tokens were drawn for without coming to an end.
    #[error("the crystal was not finished within {tokens} tokens")]
    Unfinished {
        /// Tokens drawn.
        tokens: usize,
    },
}

/// One crystal being written.
pub(super) struct PartialCrystal {
    pub group: SpaceGroup,
    stream: SampleStream,
    pub sites: Vec<Site>,
    /// How many sites there shall be, where that is given.
    wanted: Option<usize>,
    /// Distribution of the letter to come.
    letters: Vec<f64>,
    /// Letter of the site at hand; 0 when the crystal is finished.
    pub letter: u8,
    lattice: Option<LatticeMixture>,
    pub outcome: Option<Result<Tokens, Refusal>>,
}

impl PartialCrystal {
    /// Nothing but a group.
    pub fn new(group: SpaceGroup, stream: SampleStream, wanted: Option<usize>) -> Self {
        let (sites, letters) = (Vec::new(), Vec::new());
        Self { group, stream, sites, wanted, letters, letter: 0, lattice: None, outcome: None }
    }

    /// From the logits of the first letter.
    pub fn first_letters(
        &mut self,
        row: &[f32],
        settings: &SampleSettings,
        hyper: &Hyperparameters,
    ) -> Result<(), Refusal> {
        self.letters_from(row, None, settings, hyper)
    }

    /// From the row of a Z token: what the next letter may be.
    pub fn next_letters(
        &mut self,
        row: &[f32],
        settings: &SampleSettings,
        hyper: &Hyperparameters,
    ) -> Result<(), Refusal> {
        self.letters_from(row, Some(self.letter), settings, hyper)
    }

    fn letters_from(
        &mut self,
        row: &[f32],
        previous: Option<u8>,
        settings: &SampleSettings,
        hyper: &Hyperparameters,
    ) -> Result<(), Refusal> {
        let allowed = settings.restriction.as_ref().map(|restriction| restriction.letters(self.group, &self.sites));
        self.letters = head::letters(row, self.group, previous, allowed.as_deref(), hyper)?;
        self.keep_to_sites();
        Ok(())
    }

    /// Draws the letter of the next site, or the end.
    pub fn draw_letter(&mut self, settings: &SampleSettings) -> Result<(), Refusal> {
        self.letter = draw(&mut self.stream, &self.letters, settings.temperature.w, settings.top_p)? as u8;
        Ok(())
    }

    pub fn position(&self) -> Option<&'static WyckoffPosition> {
        wyckoff_position(self.group, self.letter)
    }

    /// Forbids the stop before the wanted number of sites, unless nothing else is left, and all else at it.
    fn keep_to_sites(&mut self) {
        let Some(wanted) = self.wanted else { return };
        let another = self.sites.len() < wanted && self.letters[1..].iter().any(|p| p.is_finite());
        for (letter, log_p) in self.letters.iter_mut().enumerate() {
            if (letter == 0) == another {
                *log_p = f64::NEG_INFINITY;
            }
        }
    }

    /// From the row of a W token: the element of the site, or the lattice of a finished crystal.
    pub fn element(
        &mut self,
        row: &[f32],
        slot: usize,
        settings: &SampleSettings,
        hyper: &Hyperparameters,
    ) -> Result<(), Refusal> {
        if self.letter == 0 || slot + 1 == hyper.n_max {
            self.lattice = Some(head::lattice(row, hyper)?);
        }
        if self.letter == 0 {
            return self.finish(settings);
        }
        let restriction = settings.restriction.as_ref();
        let allowed = restriction.map(|restriction| restriction.elements(self.group, &self.sites, self.letter));
        let classes = head::atoms(row, self.letter, allowed.as_deref(), hyper)?;
        let class = draw(&mut self.stream, &classes, settings.temperature.a, settings.top_p)?;
        let species = u8::try_from(class).ok().and_then(Element::from_number);
        let species = species.ok_or(Refusal::NotAnElement { class })?;
        self.sites.push(Site { wyckoff: self.letter, species, coord: [0.0; 3] });
        Ok(())
    }

    /// From the row of an A, X or Y token: the next coordinate, put on the site's position.
    pub fn coordinate(
        &mut self,
        row: &[f32],
        axis: usize,
        settings: &SampleSettings,
        hyper: &Hyperparameters,
    ) -> Result<(), Refusal> {
        let mixture = head::coordinate(row, hyper)?;
        let x = draw_coordinate(&mut self.stream, &mixture, settings)?;
        let position = self.position();
        if let Some(site) = self.sites.last_mut() {
            site.coord[axis] = x;
            if let Some(position) = position {
                site.coord[axis] = position.project_axis(axis, site.coord);
            }
        }
        Ok(())
    }

    /// Draws the lattice, which ends the crystal.
    pub fn finish(&mut self, settings: &SampleSettings) -> Result<(), Refusal> {
        let Some(mixture) = self.lattice.take() else { return Ok(()) };
        let k = draw(&mut self.stream, &mixture.log_weights, settings.temperature.l, settings.top_p)?;
        let spread = settings.temperature.l.sqrt();
        let mut drawn = mixture.mu[k];
        if spread > 0.0 {
            for (value, sigma) in drawn.iter_mut().zip(mixture.sigma[k]) {
                *value += spread * sigma * self.stream.normal();
            }
        }
        let [a, b, c, alpha, beta, gamma] = drawn;
        let angles = [alpha, beta, gamma].map(f64::to_degrees);
        let (lengths, angles) = self.group.symmetrize_lattice([a, b, c], angles);
        let [alpha, beta, gamma] = angles.map(f64::to_radians);
        let lattice = [lengths[0], lengths[1], lengths[2], alpha, beta, gamma];
        self.outcome = Some(Ok(Tokens { group: self.group, lattice, sites: std::mem::take(&mut self.sites) }));
        Ok(())
    }
}

/// Draws a class; the most likely one at temperature 0.
fn draw(stream: &mut SampleStream, log_p: &[f64], temperature: f64, top_p: f64) -> Result<usize, DrawError> {
    if temperature > 0.0 {
        return stream.categorical(log_p, temperature, top_p);
    }
    let best =
        log_p.iter().enumerate().filter(|(_, p)| !p.is_nan()).max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map(|(class, _)| class).ok_or(DrawError::NothingAllowed { classes: log_p.len() })
}

/// Draws a fractional coordinate in [0, 1).
fn draw_coordinate(
    stream: &mut SampleStream,
    mixture: &CoordinateMixture,
    settings: &SampleSettings,
) -> Result<f64, DrawError> {
    let k = draw(stream, &mixture.log_weights, settings.temperature.xyz, settings.top_p)?;
    let angle = match settings.temperature.xyz {
        0.0 => mixture.loc[k],
        temperature => stream.von_mises(mixture.loc[k], mixture.kappa[k] / temperature)?,
    };
    let x = angle / std::f64::consts::TAU + 0.5;
    Ok(x - x.floor())
}
