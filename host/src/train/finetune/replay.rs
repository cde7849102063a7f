//! A memory of the best crystals so far, some of which are learned from again beside each batch (Guo and Schwaller 2024, "Augmented
//! Memory", arXiv 2305.16160).

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::densities::Densities;
use super::{Batch, FinetuneState, Finetuning};
use crate::crystal::{Composition, StoredTokens, Tokens};
use crate::policy::{LikelihoodError, keyed_stream};
use crate::train::FinetuneSettings;

/// Which crystals are remembered, and how many of them are learned from again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Crystals that are replayed in each step.
    pub crystals: usize,
    /// Most crystals that are remembered.
    pub size: usize,
    /// Steps after which a crystal is forgotten.
    pub age: usize,
}

/// The best crystals so far, the best first; of those with the same space group and reduced formula only the best.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplayMemory(Vec<Remembered>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredCrystal", into = "StoredCrystal")]
struct Remembered {
    /// The step that drew it.
    step: usize,
    objective: f64,
    formula: String,
    tokens: Tokens,
}

/// As it stands in a checkpoint.
#[derive(Serialize, Deserialize)]
struct StoredCrystal {
    step: usize,
    objective: f64,
    formula: String,
    tokens: StoredTokens,
}

impl From<Remembered> for StoredCrystal {
    fn from(Remembered { step, objective, formula, tokens }: Remembered) -> Self {
        Self { step, objective, formula, tokens: StoredTokens::from(&tokens) }
    }
}

impl TryFrom<StoredCrystal> for Remembered {
    type Error = String;

    fn try_from(stored: StoredCrystal) -> Result<Self, String> {
        let StoredCrystal { step, objective, formula, tokens } = stored;
        let tokens = tokens.tokens().filter(|tokens| tokens.to_structure().is_ok());
        let tokens = tokens.ok_or_else(|| format!("the tokens of {formula} are no crystal"))?;
        Ok(Self { step, objective, formula, tokens })
    }
}

impl ReplayMemory {
    /// Whether it holds no crystal.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers the best of some more crystals.
    fn add(&mut self, crystals: impl Iterator<Item = Remembered>, size: usize) {
        for crystal in crystals {
            let is_same =
                |known: &Remembered| known.formula == crystal.formula && known.tokens.group == crystal.tokens.group;
            match self.0.iter().position(is_same) {
                None => self.0.push(crystal),
                Some(place) if self.0[place].objective < crystal.objective => self.0[place] = crystal,
                Some(_) => {}
            }
        }
        self.0.sort_by(|a, b| b.objective.total_cmp(&a.objective));
        self.0.truncate(size);
    }

    /// Forgets what was drawn more than `age` steps before a step.
    fn forget(&mut self, step: usize, age: usize) {
        self.0.retain(|crystal| step.saturating_sub(crystal.step) <= age);
    }

    /// Some of the crystals for a step, each at most once, as (tokens, objective).
    fn draw(&self, step: usize, seed: u64, replay: &Replay) -> Vec<(Tokens, f64)> {
        let mut random = keyed_stream(seed, *b"temper ppo replay memory", step as u64);
        let mut drawn: Vec<&Remembered> = self.0.iter().collect();
        drawn.shuffle(&mut random);
        drawn.truncate(replay.crystals);
        drawn.into_iter().map(|crystal| (crystal.tokens.clone(), crystal.objective)).collect()
    }
}

/// Crystals of the memory whose log p is finite.
#[derive(Default)]
pub(super) struct Replayed {
    pub crystals: Vec<Tokens>,
    pub objectives: Vec<f64>,
    pub densities: Densities,
}

impl FinetuneState {
    /// Remembers the best crystals of a batch on which every term succeeded.
    pub(super) fn remember(&mut self, step: usize, batch: &Batch, replay: &Replay) {
        let remembered = |row: &usize| {
            let sample = &batch.samples[*row];
            let formula = Composition::of_structure(sample.structure.as_ref().ok()?).ok()?.reduced_formula();
            Some(Remembered { step, objective: sample.objective?, formula, tokens: sample.tokens.clone()? })
        };
        let complete = batch.trainable.iter().filter(|row| batch.table.complete(**row));
        self.replay.add(complete.filter_map(remembered), replay.size);
    }
}

impl Finetuning {
    /// Draws the crystals that a step replays.
    pub(super) fn replayed(
        &self,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
    ) -> Result<Replayed, LikelihoodError> {
        let Some(replay) = &settings.replay else { return Ok(Replayed::default()) };
        let step = state.step + 1;
        state.replay.forget(step, replay.age);
        let drawn = state.replay.draw(step, settings.seed, replay);
        if drawn.is_empty() {
            return Ok(Replayed::default());
        }
        let crystals: Vec<&Tokens> = drawn.iter().map(|(tokens, _)| tokens).collect();
        let mut rows: Vec<usize> = (0..drawn.len()).collect();
        let densities = self.densities(&state.parameters, settings.entropy_bonus, &crystals, &mut rows)?;
        let (crystals, objectives) = rows.into_iter().map(|row| drawn[row].clone()).unzip();
        Ok(Replayed { crystals, objectives, densities })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Site, SpaceGroup};

    const REPLAY: Replay = Replay { crystals: 2, size: 3, age: 5 };

    /// Caesium chloride, which has two descriptions: either element may be at the origin.
    fn salt(metal: &str, step: usize, objective: f64) -> Remembered {
        let site = |wyckoff, symbol, coord| Site { wyckoff, species: Element::from_symbol(symbol).unwrap(), coord };
        let right = std::f64::consts::FRAC_PI_2;
        let tokens = Tokens {
            group: SpaceGroup::new(221).unwrap(),
            lattice: [3.2, 3.2, 3.2, right, right, right],
            sites: vec![site(1, metal, [0.0; 3]), site(2, "Cl", [0.5; 3])],
        };
        Remembered { step, objective, formula: format!("{metal}Cl"), tokens }
    }

    fn held(memory: &ReplayMemory) -> Vec<(&str, usize, f64)> {
        memory.0.iter().map(|crystal| (crystal.formula.as_str(), crystal.step, crystal.objective)).collect()
    }

    #[test]
    fn the_best_different_crystals_are_remembered_until_they_are_old() {
        let mut memory = ReplayMemory::default();
        memory.add([salt("Cs", 1, -1.0), salt("K", 1, -0.5), salt("Na", 1, -3.0)].into_iter(), 3);
        // A better one of a kind takes its place, a worse one does not, and the worst of four leaves.
        memory.add([salt("Cs", 2, -0.25), salt("K", 2, -0.75), salt("Rb", 2, -2.0)].into_iter(), 3);
        assert_eq!(held(&memory), [("CsCl", 2, -0.25), ("KCl", 1, -0.5), ("RbCl", 2, -2.0)]);
        memory.forget(6, 5);
        assert_eq!(memory.0.len(), 3);
        memory.forget(7, 5);
        assert_eq!(held(&memory), [("CsCl", 2, -0.25), ("RbCl", 2, -2.0)]);
        // Another space group is another crystal.
        let mut other = salt("Cs", 3, -9.0);
        other.tokens.group = SpaceGroup::new(200).unwrap();
        memory.add([other].into_iter(), 3);
        assert_eq!(memory.0.len(), 3);
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<ReplayMemory>(&text).unwrap(), memory);
        // As ranks tell it one another.
        let bytes = postcard::to_stdvec(&memory).unwrap();
        assert_eq!(postcard::from_bytes::<ReplayMemory>(&bytes).unwrap(), memory);
        let wrong = text.replacen("\"spacegroup\":221", "\"spacegroup\":0", 1);
        let said = serde_json::from_str::<ReplayMemory>(&wrong).unwrap_err().to_string();
        assert!(said.contains("the tokens of CsCl are no crystal"), "{said}");
    }

    #[test]
    fn what_is_replayed_belongs_to_seed_and_step() {
        let mut memory = ReplayMemory::default();
        memory.add(["Cs", "K", "Rb"].map(|metal| salt(metal, 1, -1.0)).into_iter(), 3);
        let drawn: Vec<_> = (2..40).map(|step| memory.draw(step, 7, &REPLAY)).collect();
        assert_eq!(drawn[0], memory.draw(2, 7, &REPLAY));
        assert!(drawn.iter().all(|crystals| crystals.len() == 2 && crystals[0].0 != crystals[1].0));
        for crystal in &memory.0 {
            let times = drawn.iter().filter(|drawn| drawn.iter().any(|(tokens, _)| *tokens == crystal.tokens)).count();
            // Of 38 draws, two thirds on average; the standard deviation is 3.
            assert!((16..=35).contains(&times), "{times}");
        }
        assert_eq!(memory.draw(2, 7, &Replay { crystals: 9, ..REPLAY }).len(), 3);
    }
}
