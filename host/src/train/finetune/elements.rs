//! How often each element occurs among the crystals that the policy draws, and how often among its base's: the composition prior holds
//! one near the other. KL to the base is that of whole crystals, and cannot tell a policy that draws other elements from one that has
//! become sharper.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Batch, FinetuneState, Finetuning};
use crate::crystal::{Element, Tokens};
use crate::policy::LikelihoodError;
use crate::train::FinetuneSettings;

/// Crystals that are drawn from the base to count its elements.
const BASE_CRYSTALS: usize = 1000;
/// Weight of the old frequencies in the new ones, per batch: a batch alone would say little of rare elements.
const DECAY: f64 = 0.9;
/// Share of the base's frequencies in those that a crystal is rewarded by: what is never drawn has a finite bonus, and counts of rare
/// elements scatter less.
const SHARE_OF_BASE: f64 = 0.05;
/// Chemical elements.
const ELEMENTS: usize = 118;

/// By atomic number, adding up to 1: in a crystal of k elements, each of them counts 1/k.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
struct Frequencies(Vec<f64>);

impl From<Frequencies> for Vec<f64> {
    fn from(frequencies: Frequencies) -> Self {
        frequencies.0
    }
}

impl TryFrom<Vec<f64>> for Frequencies {
    type Error = String;

    fn try_from(numbers: Vec<f64>) -> Result<Self, String> {
        let are_shares = numbers.len() == ELEMENTS && numbers.iter().all(|share| (0.0..=1.0).contains(share));
        are_shares.then_some(Self(numbers)).ok_or_else(|| format!("frequencies of {ELEMENTS} elements are expected"))
    }
}

impl Frequencies {
    fn add(&mut self, crystal: &Tokens, weight: f64) {
        let elements = elements(crystal);
        elements.iter().for_each(|element| self.0[place(*element)] += weight / elements.len() as f64);
    }
}

fn elements(crystal: &Tokens) -> BTreeSet<Element> {
    crystal.sites.iter().map(|site| site.species).collect()
}

fn place(element: Element) -> usize {
    usize::from(element.number()) - 1
}

/// The frequencies of the elements among the base's crystals, and the moving ones of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElementFrequencies {
    base: Frequencies,
    now: Frequencies,
}

impl ElementFrequencies {
    /// Of the crystals of a base, and of one more that has all elements alike, so that no frequency is zero.
    fn of_base<'a>(crystals: impl IntoIterator<Item = &'a Tokens>) -> Self {
        let (mut sums, mut count) = (Frequencies(vec![1.0 / ELEMENTS as f64; ELEMENTS]), 1.0);
        for crystal in crystals {
            sums.add(crystal, 1.0);
            count += 1.0;
        }
        let base = Frequencies(sums.0.into_iter().map(|sum| (sum / count).min(1.0)).collect());
        Self { now: base.clone(), base }
    }

    /// Takes in the crystals of a batch.
    fn follow(&mut self, batch: &[&Tokens]) {
        if batch.is_empty() {
            return;
        }
        self.now.0.iter_mut().for_each(|share| *share *= DECAY);
        batch.iter().for_each(|crystal| self.now.add(crystal, (1.0 - DECAY) / batch.len() as f64));
        // Rounding.
        self.now.0.iter_mut().for_each(|share| *share = share.min(1.0));
    }

    /// KL(now || base), nats.
    fn kl(&self) -> f64 {
        let both = self.now.0.iter().zip(&self.base.0).filter(|(now, base)| **now > 0.0 && **base > 0.0);
        both.map(|(now, base)| now * (now / base).ln()).sum()
    }

    /// How much rarer the elements of a crystal have become: the mean over them of ln(base / now), nats.
    fn rarity(&self, crystal: &Tokens) -> f64 {
        let elements = elements(crystal);
        let of = |element: &Element| {
            let (base, now) = (self.base.0[place(*element)], self.now.0[place(*element)]);
            -((1.0 - SHARE_OF_BASE) * now / base + SHARE_OF_BASE).ln()
        };
        elements.iter().map(of).sum::<f64>() / elements.len().max(1) as f64
    }
}

impl FinetuneState {
    /// What the composition prior adds to the reward of a crystal. The frequencies are those before its batch: if it counted itself,
    /// the rarest elements would cost the most.
    pub(super) fn composition_bonus(&self, crystal: &Tokens, settings: &FinetuneSettings) -> f64 {
        let weight = settings.composition_prior.unwrap_or(0.0);
        self.elements.as_ref().map_or(0.0, |elements| weight * elements.rarity(crystal))
    }

    /// Counts the elements of a batch, whatever became of its crystals, and tells KL of their frequencies to the base's, nats.
    pub(super) fn count_elements(&mut self, batch: &Batch) -> Option<f64> {
        let elements = self.elements.as_mut()?;
        let drawn: Vec<&Tokens> = batch.samples.iter().filter_map(|sample| sample.tokens.as_ref()).collect();
        elements.follow(&drawn);
        Some(elements.kl())
    }
}

impl Finetuning {
    /// Counts the elements of the base, where they are watched and that has not been done. Steps are counted from 1, so that a run
    /// does not use the random numbers of step 0.
    pub(super) fn watch_elements(
        &self,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
    ) -> Result<(), LikelihoodError> {
        if settings.composition_prior.is_none() {
            state.elements = None;
        } else if state.elements.is_none() {
            let samples = self.sample(&self.base, 0, 0..BASE_CRYSTALS, settings)?;
            let crystals = samples.iter().filter_map(|sample| sample.tokens.as_ref());
            state.elements = Some(ElementFrequencies::of_base(crystals));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Site, SpaceGroup};
    use crate::train::KlGradient;
    use crate::train::finetune::tests::{Bench, REWARDS, assert_near, settings};

    fn crystal(symbols: &[&str]) -> Tokens {
        let site = |symbol: &&str| Site { wyckoff: 1, species: Element::from_symbol(symbol).unwrap(), coord: [0.0; 3] };
        let sites = symbols.iter().map(site).collect();
        Tokens { group: SpaceGroup::new(1).unwrap(), lattice: [2.0, 2.0, 2.0, 1.6, 1.6, 1.6], sites }
    }

    fn share(frequencies: &Frequencies, symbol: &str) -> f64 {
        frequencies.0[place(Element::from_symbol(symbol).unwrap())]
    }

    /// Of NaCl3, LiCl and a crystal of all 118 elements: Cl has (1/2 + 1/2 + 1/118) / 3.
    #[test]
    fn frequencies_are_of_crystals_whatever_their_stoichiometry() {
        let found = ElementFrequencies::of_base([&crystal(&["Na", "Cl", "Cl", "Cl"]), &crystal(&["Li", "Cl"])]).base;
        assert_near(&[found.0.iter().sum()], &[1.0]);
        let expected = [1.0, 0.5, 0.5, 0.0].map(|x| (x + 1.0 / 118.0) / 3.0);
        assert_near(&["Cl", "Na", "Li", "O"].map(|symbol| share(&found, symbol)), &expected);
    }

    /// After a batch of NaCl and O, a tenth of the frequencies is its own.
    #[test]
    fn frequencies_follow_the_batches() {
        let mut found = ElementFrequencies::of_base([&crystal(&["Na", "Cl"])]);
        assert_near(&[found.kl()], &[0.0]);
        found.follow(&[&crystal(&["Na", "Cl"]), &crystal(&["O"])]);
        let before = |symbol| 0.9 * share(&found.base, symbol);
        let expected = [before("Na") + 0.025, before("O") + 0.05, before("H")];
        assert_near(&["Na", "O", "H"].map(|symbol| share(&found.now, symbol)), &expected);
        let by_hand: f64 = (0..ELEMENTS).map(|i| found.now.0[i] * (found.now.0[i] / found.base.0[i]).ln()).sum();
        assert_near(&[found.kl()], &[by_hand]);
        assert!(by_hand > 0.01);
        let same = found.clone();
        found.follow(&[]);
        assert_eq!(found, same);
    }

    /// Na is twice as frequent as in the base, O half as frequent, U no longer drawn at all.
    #[test]
    fn what_has_become_frequent_is_worth_less() {
        let [na, oxygen, uranium] = ["Na", "O", "U"].map(|symbol| place(Element::from_symbol(symbol).unwrap()));
        let mut found = ElementFrequencies::of_base(&[crystal(&["Na", "O"]), crystal(&["U"])]);
        assert_near(&[found.rarity(&crystal(&["Na", "U"]))], &[0.0]);
        found.now.0[na] *= 2.0;
        found.now.0[oxygen] *= 0.5;
        found.now.0[uranium] = 0.0;
        let expected = [-1.95_f64.ln(), -0.525_f64.ln(), 20.0_f64.ln()];
        assert_near(&["Na", "O", "U"].map(|symbol| found.rarity(&crystal(&[symbol]))), &expected);
        assert_near(&[found.rarity(&crystal(&["O", "O", "Na"]))], &[(expected[0] + expected[1]) / 2.0]);
    }

    #[test]
    fn what_is_no_frequency_is_refused() {
        assert!(serde_json::from_str::<Frequencies>("[0.5, 0.5]").is_err());
        let mut found = ElementFrequencies::of_base([]);
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<ElementFrequencies>(&text).unwrap(), found);
        found.now.0[0] = 1.5;
        assert!(serde_json::from_str::<ElementFrequencies>(&serde_json::to_string(&found).unwrap()).is_err());
    }

    /// R of each crystal grows by 0.5 times the rarity of its elements, whichever way the KL term enters: what it teaches is what rewards
    /// that are larger by as much teach. The batch is counted behind it.
    #[test]
    fn a_composition_prior_is_part_of_the_reward() {
        let bench = Bench::new();
        for kl_gradient in [KlGradient::Detached, KlGradient::Reference] {
            let of = |composition_prior| FinetuneSettings { composition_prior, ..settings(kl_gradient) };
            let held = of(Some(0.5));
            let mut state = FinetuneState::new(bench.start.clone());
            bench.finetuning(&held).watch_elements(&held, &mut state).unwrap();
            let base = state.count_elements(&bench.batch(&[])).unwrap();
            let moved = state.count_elements(&bench.batch(&REWARDS[0])).unwrap();
            assert!(base == 0.0 && moved > 0.01, "{base} {moved}");
            let bonus: Vec<f64> =
                bench.crystals().iter().map(|crystal| state.composition_bonus(crystal, &held)).collect();
            assert!(bonus.iter().all(|bonus| *bonus < -0.01) && bonus[0] != bonus[1], "{bonus:?}");
            let rewards: Vec<f64> = REWARDS[0].iter().zip(&bonus).map(|(reward, bonus)| reward + bonus).collect();
            let mut larger = FinetuneState::new(bench.start.clone());
            let expected = bench.learn(&rewards, &of(None), &mut larger);
            let found = bench.learn(&REWARDS[0], &held, &mut state);
            assert_near(&[found.baseline], &[expected.baseline]);
            assert_eq!(state.parameters, larger.parameters);
            bench.finetuning(&of(None)).watch_elements(&of(None), &mut state).unwrap();
            assert_eq!(state.elements, None, "what is not watched is forgotten");
        }
    }
}
