//! The composition prior: it holds the frequencies of the elements among the crystals that the policy draws near those of its base. KL
//! to the base holds every crystal, and cannot tell a policy that draws one element more often from one that has become sharper.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FinetuneState, Finetuning};
use crate::crystal::{Element, Tokens};
use crate::policy::LikelihoodError;
use crate::train::FinetuneSettings;

/// Crystals that are drawn from the base to count its elements.
const BASE_CRYSTALS: usize = 1000;
/// Weight of the old shares in the new ones, per batch: a batch alone would say little of rare elements.
const DECAY: f64 = 0.9;
/// Chemical elements.
const ELEMENTS: usize = 118;
/// Largest logarithm of a ratio of shares that counts, nats.
const LARGEST: f64 = 7.0;

/// How often each element occurs, by atomic number. The shares add up to 1: in a crystal of k elements, each of them counts 1/k.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct ElementShares(Vec<f64>);

impl From<ElementShares> for Vec<f64> {
    fn from(shares: ElementShares) -> Self {
        shares.0
    }
}

impl TryFrom<Vec<f64>> for ElementShares {
    type Error = String;

    fn try_from(shares: Vec<f64>) -> Result<Self, String> {
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        let are_shares = shares.len() == ELEMENTS && shares.iter().all(is_share);
        are_shares.then_some(Self(shares)).ok_or_else(|| format!("the shares of {ELEMENTS} elements are expected"))
    }
}

impl ElementShares {
    /// Of some crystals and of one more that has all elements alike, so that no share is zero.
    fn smoothed<'a>(crystals: impl IntoIterator<Item = &'a Tokens>) -> Self {
        let (mut sums, mut count) = (vec![1.0 / ELEMENTS as f64; ELEMENTS], 1.0);
        for crystal in crystals {
            add(&mut sums, crystal, 1.0);
            count += 1.0;
        }
        Self(sums.into_iter().map(|sum| sum / count).collect())
    }

    /// The moving shares after a batch that is not empty.
    pub(super) fn followed_by(&self, batch: &[&Tokens]) -> Self {
        let mut shares: Vec<f64> = self.0.iter().map(|share| DECAY * share).collect();
        batch.iter().for_each(|crystal| add(&mut shares, crystal, (1.0 - DECAY) / batch.len() as f64));
        // Rounding.
        Self(shares.into_iter().map(|share| share.min(1.0)).collect())
    }

    /// KL(self || base), nats.
    fn kl(&self, base: &Self) -> f64 {
        self.0.iter().zip(&base.0).filter(|(share, _)| **share > 0.0).map(|(p, q)| p * (p / q).ln()).sum()
    }

    /// How much rarer the elements of a crystal are than in the base: the mean over them of ln(base / self), nats. What adds it to the
    /// reward descends the KL.
    pub(super) fn rarity(&self, base: &Self, crystal: &Tokens) -> f64 {
        let elements = elements(crystal);
        let of = |element: &Element| {
            let place = usize::from(element.number()) - 1;
            (base.0[place] / self.0[place]).ln().clamp(-LARGEST, LARGEST)
        };
        elements.iter().map(of).sum::<f64>() / elements.len().max(1) as f64
    }
}

fn elements(crystal: &Tokens) -> BTreeSet<Element> {
    crystal.sites.iter().map(|site| site.species).collect()
}

fn add(shares: &mut [f64], crystal: &Tokens, weight: f64) {
    let elements = elements(crystal);
    for element in &elements {
        shares[usize::from(element.number()) - 1] += weight / elements.len() as f64;
    }
}

/// What the prior says of a batch.
pub(super) struct CompositionPrior {
    /// What it adds to the objective of each crystal.
    pub bonus: Vec<f64>,
    /// KL of the elements to the base's, nats.
    pub kl: f64,
}

impl Finetuning {
    /// Counts the elements of a batch, the first `drawn` of the crystals. `None` unless the elements are watched.
    pub(super) fn composition(
        &self,
        crystals: &[&Tokens],
        drawn: usize,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
    ) -> Result<Option<CompositionPrior>, LikelihoodError> {
        let Some(weight) = settings.composition_prior else { return Ok(None) };
        let base = match self.base_elements.get() {
            Some(base) => base,
            None => {
                let counted = self.elements_of_base(settings)?;
                self.base_elements.get_or_init(|| counted)
            }
        };
        let shares = state.elements.as_ref().unwrap_or(base).followed_by(&crystals[..drawn]);
        let bonus = crystals.iter().map(|crystal| weight * shares.rarity(base, crystal)).collect();
        let prior = CompositionPrior { bonus, kl: shares.kl(base) };
        state.elements = Some(shares);
        Ok(Some(prior))
    }

    /// Steps are counted from 1, so that the random numbers of step 0 are free.
    pub(super) fn elements_of_base(&self, settings: &FinetuneSettings) -> Result<ElementShares, LikelihoodError> {
        let samples = self.sample(&self.base, 0, 0..BASE_CRYSTALS, settings)?;
        Ok(ElementShares::smoothed(samples.iter().filter_map(|sample| sample.tokens.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Site, SpaceGroup};
    use crate::train::finetune::tests::assert_near;

    fn crystal(symbols: &[&str]) -> Tokens {
        let site = |symbol: &&str| Site { wyckoff: 1, species: Element::from_symbol(symbol).unwrap(), coord: [0.0; 3] };
        let sites = symbols.iter().map(site).collect();
        Tokens { group: SpaceGroup::new(1).unwrap(), lattice: [2.0, 2.0, 2.0, 1.6, 1.6, 1.6], sites }
    }

    fn share(shares: &ElementShares, symbol: &str) -> f64 {
        shares.0[usize::from(Element::from_symbol(symbol).unwrap().number()) - 1]
    }

    /// Of NaCl, LiCl and a crystal of all 118 elements: Cl has (1/2 + 1/2 + 1/118) / 3, Na half as much of the first part.
    #[test]
    fn shares_are_of_crystals_whatever_their_stoichiometry() {
        let shares = ElementShares::smoothed([&crystal(&["Na", "Cl", "Cl", "Cl"]), &crystal(&["Li", "Cl"])]);
        assert_near(&[shares.0.iter().sum()], &[1.0]);
        let expected = [1.0, 0.5, 0.5, 0.0].map(|x| (x + 1.0 / 118.0) / 3.0);
        assert_near(&["Cl", "Na", "Li", "O"].map(|symbol| share(&shares, symbol)), &expected);
    }

    /// After a batch of NaCl, a tenth of the shares is its own.
    #[test]
    fn shares_follow_the_batches() {
        let base = ElementShares::smoothed([&crystal(&["Na", "Cl"])]);
        let now = base.followed_by(&[&crystal(&["Na", "Cl"]), &crystal(&["O"])]);
        let of = |symbol| 0.9 * share(&base, symbol);
        assert_near(&["Na", "O", "H"].map(|symbol| share(&now, symbol)), &[of("Na") + 0.025, of("O") + 0.05, of("H")]);
        assert_near(&[base.kl(&base)], &[0.0]);
        let by_hand: f64 = (0..ELEMENTS).map(|i| now.0[i] * (now.0[i] / base.0[i]).ln()).sum();
        assert_near(&[now.kl(&base)], &[by_hand]);
        assert!(by_hand > 0.01);
    }

    /// The mean of a bonus over crystals with the shares is minus the KL, and what is too common is worth less.
    #[test]
    fn the_bonus_descends_the_kl() {
        let base = ElementShares::smoothed(&[crystal(&["Na", "Cl"]), crystal(&["O"])]);
        let mut now = ElementShares(vec![0.0; ELEMENTS]);
        let batch = [crystal(&["Na", "Cl"]), crystal(&["Na", "O"]), crystal(&["Na"])];
        batch.iter().for_each(|crystal| add(&mut now.0, crystal, 1.0 / 3.0));
        let bonus: Vec<f64> = batch.iter().map(|crystal| now.rarity(&base, crystal)).collect();
        assert_near(&[bonus.iter().sum::<f64>() / 3.0], &[-now.kl(&base)]);
        assert!(bonus[2] < bonus[0] && bonus[2] < 0.0, "{bonus:?}");
        let unseen = now.rarity(&base, &crystal(&["U"]));
        assert_eq!(unseen, LARGEST, "what the policy never draws has a bonus that is finite");
    }

    #[test]
    fn what_is_no_share_is_refused() {
        assert!(serde_json::from_str::<ElementShares>("[0.5, 0.5]").is_err());
        let mut shares = ElementShares::smoothed([]);
        let text = serde_json::to_string(&shares).unwrap();
        assert_eq!(serde_json::from_str::<ElementShares>(&text).unwrap(), shares);
        shares.0[0] = 1.5;
        assert!(serde_json::from_str::<ElementShares>(&serde_json::to_string(&shares).unwrap()).is_err());
    }
}
