//! Pairs of crystals of which one is preferred.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::likelihood_task::is_held_out;
use crate::crystal::{Composition, Tokens};
use crate::policy::keyed_stream;

/// A crystal that is good or bad.
#[derive(Clone, Debug)]
pub struct JudgedCrystal {
    /// Its identifier.
    pub id: String,
    /// The crystal.
    pub tokens: Tokens,
    /// Whether it is to be preferred to those that are not.
    pub chosen: bool,
}

/// Which crystals go together.
#[derive(Clone, Debug)]
pub struct PairSettings {
    /// Most pairs that a crystal stands in.
    pub per_crystal: usize,
    /// Whether the crystals of a pair have elements in the same proportions, such as 1 : 1 : 3.
    pub same_family: bool,
    /// Share of the crystals that is held out; no pair has one of each side.
    pub holdout: f64,
    /// Decides which crystals go together.
    pub seed: u64,
}

/// A pair, as places in [`Preferences::crystals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The preferred one.
    pub chosen: usize,
    /// The other.
    pub rejected: usize,
}

/// What is trained on and what is held out, with the crystals of both.
#[derive(Clone, Debug, Default)]
pub struct Preferences {
    /// All crystals, whether they stand in a pair or not.
    pub crystals: Vec<JudgedCrystal>,
    /// Seen in training.
    pub train: Vec<Pair>,
    /// Never trained on.
    pub valid: Vec<Pair>,
    /// How many there are of each kind of crystal, in the order of the kinds.
    pub counts: Vec<PairCounts>,
}

/// The crystals of a kind, and the pairs that they make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairCounts {
    /// Number of the space group.
    pub spacegroup: u8,
    /// Proportions of the elements in ascending order, `1:1:3`; empty where they may differ in a pair.
    pub family: String,
    /// Crystals that are preferred.
    pub chosen: usize,
    /// The others.
    pub rejected: usize,
    /// Pairs to train on.
    pub train: usize,
    /// Pairs held out.
    pub valid: usize,
}

/// Space group and proportions.
type Kind = (u8, String);

impl Preferences {
    /// Makes pairs of crystals of the same space group, each at most [`PairSettings::per_crystal`] times, and as many as there can
    /// be. They depend on the crystals, their order and the seed.
    pub fn new(crystals: Vec<JudgedCrystal>, settings: &PairSettings) -> Self {
        let mut kinds: BTreeMap<Kind, [[Vec<usize>; 2]; 2]> = BTreeMap::new();
        for (place, crystal) in crystals.iter().enumerate() {
            let family = if settings.same_family { family(&crystal.tokens) } else { String::new() };
            let sides = kinds.entry((crystal.tokens.group.number(), family)).or_default();
            let side = usize::from(is_held_out(&crystal.id, settings.holdout));
            sides[side][usize::from(!crystal.chosen)].push(place);
        }
        let mut random = keyed_stream(settings.seed, *b"temper preference pairs ", 0);
        let mut made = Self { crystals, ..Self::default() };
        for ((spacegroup, family), sides) in kinds {
            let count = |rejected: usize| sides.iter().map(|side| side[rejected].len()).sum();
            let (chosen, rejected) = (count(0), count(1));
            let [train, valid] = sides.map(|lists| pairs(lists, settings.per_crystal, &mut random));
            let counts = PairCounts { spacegroup, family, chosen, rejected, train: train.len(), valid: valid.len() };
            made.counts.push(counts);
            made.train.extend(train);
            made.valid.extend(valid);
        }
        made
    }

    /// The places of the crystals that stand in a pair.
    pub fn paired(&self) -> BTreeSet<usize> {
        self.train.iter().chain(&self.valid).flat_map(|pair| [pair.chosen, pair.rejected]).collect()
    }
}

/// Pairs of `[chosen, rejected]`, none twice.
fn pairs(mut lists: [Vec<usize>; 2], per_crystal: usize, random: &mut ChaCha8Rng) -> Vec<Pair> {
    lists.iter_mut().for_each(|list| list.shuffle(random));
    let [chosen, rejected] = lists;
    let (c, r) = (chosen.len(), rejected.len());
    if c == 0 || r == 0 {
        return Vec::new();
    }
    let count = c.min(r).saturating_mul(per_crystal).min(c.saturating_mul(r));
    // Both lists go round and round; after their common period one of them is a place ahead.
    let period = c / common_divisor(c, r) * r;
    (0..count).map(|i| Pair { chosen: chosen[i % c], rejected: rejected[(i + i / period) % r] }).collect()
}

/// The numbers of atoms of the elements in lowest terms, in ascending order.
fn family(tokens: &Tokens) -> String {
    let counts = tokens.multiplicities().unwrap_or_default();
    let amounts = tokens.sites.iter().zip(counts).map(|(site, atoms)| (site.species, atoms as f64));
    let Ok(composition) = Composition::new(amounts) else { return String::new() };
    let mut counts: Vec<usize> = composition.amounts().iter().map(|(_, atoms)| *atoms as usize).collect();
    counts.sort_unstable();
    let divisor = counts.iter().fold(0, |divisor, count| common_divisor(divisor, *count)).max(1);
    let terms: Vec<String> = counts.iter().map(|count| (count / divisor).to_string()).collect();
    terms.join(":")
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Site, SpaceGroup};
    use proptest::prelude::*;

    /// A crystal with sites of one atom each.
    fn crystal(number: usize, group: i64, symbols: &[&str], chosen: bool) -> JudgedCrystal {
        let site = |(i, symbol): (usize, &&str)| Site {
            wyckoff: 1,
            species: Element::from_symbol(symbol).unwrap(),
            coord: [0.1 * i as f64, 0.2, 0.3],
        };
        let sites = symbols.iter().enumerate().map(site).collect();
        let tokens = Tokens { group: SpaceGroup::new(group).unwrap(), lattice: [2.0; 6], sites };
        JudgedCrystal { id: format!("crystal-{number}"), tokens, chosen }
    }

    fn settings(per_crystal: usize) -> PairSettings {
        PairSettings { per_crystal, same_family: false, holdout: 0.3, seed: 5 }
    }

    proptest! {
        /// Any crystals: pairs are of one space group, good and bad, on one side; none is there twice, no crystal too often, and no
        /// further pair could be made.
        #[test]
        fn pairs_keep_the_rules(
            kinds in proptest::collection::vec((1..4i64, any::<bool>()), 0..60), per_crystal in 1..6usize,
        ) {
            let crystals: Vec<_> =
                kinds.iter().enumerate().map(|(i, (group, good))| crystal(i, *group, &["Na"], *good)).collect();
            let made = Preferences::new(crystals.clone(), &settings(per_crystal));
            let all: Vec<Pair> = made.train.iter().chain(&made.valid).copied().collect();
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
            let mut uses = vec![0; crystals.len()];
            for pair in &all {
                let (good, bad) = (&crystals[pair.chosen], &crystals[pair.rejected]);
                prop_assert!(good.chosen && !bad.chosen && good.tokens.group == bad.tokens.group);
                prop_assert_eq!(is_held_out(&good.id, 0.3), is_held_out(&bad.id, 0.3));
                uses[pair.chosen] += 1;
                uses[pair.rejected] += 1;
            }
            prop_assert!(uses.iter().all(|uses| *uses <= per_crystal));
            for pair in &made.valid {
                prop_assert!(is_held_out(&crystals[pair.chosen].id, 0.3));
            }
            let free = |place: &usize, good: bool| crystals[*place].chosen == good && uses[*place] < per_crystal;
            for good in (0..crystals.len()).filter(|place| free(place, true)) {
                for bad in (0..crystals.len()).filter(|place| free(place, false)) {
                    let (a, b) = (&crystals[good], &crystals[bad]);
                    let could = a.tokens.group == b.tokens.group && is_held_out(&a.id, 0.3) == is_held_out(&b.id, 0.3);
                    let pair = Pair { chosen: good, rejected: bad };
                    prop_assert!(!could || all.contains(&pair));
                }
            }
            let count = |of: fn(&PairCounts) -> usize| made.counts.iter().map(of).sum::<usize>();
            prop_assert_eq!((count(|c| c.train), count(|c| c.valid)), (made.train.len(), made.valid.len()));
            prop_assert_eq!(count(|c| c.chosen + c.rejected), crystals.len());
        }
    }

    #[test]
    fn the_seed_decides_and_nothing_else() {
        let crystals: Vec<_> = (0..40).map(|i| crystal(i, 1, &["Na"], i % 3 == 0)).collect();
        let pairs = |seed| Preferences::new(crystals.clone(), &PairSettings { seed, ..settings(2) }).train;
        assert_eq!(pairs(1), pairs(1));
        assert_ne!(pairs(1), pairs(2));
    }

    #[test]
    fn families_are_proportions() {
        let proportions = |symbols: &[&str]| family(&crystal(0, 1, symbols, true).tokens);
        assert_eq!(proportions(&["O", "Ti", "O", "Ba", "O"]), "1:1:3");
        assert_eq!(proportions(&["O", "Na", "O", "Na"]), "1:1");
        let crystals = vec![
            crystal(0, 1, &["Na", "Cl"], true),
            crystal(1, 1, &["Na", "Cl", "Cl"], false),
            crystal(2, 1, &["K", "F"], false),
        ];
        let settings = PairSettings { same_family: true, holdout: 0.0, ..settings(4) };
        let made = Preferences::new(crystals, &settings);
        assert_eq!(made.train, [Pair { chosen: 0, rejected: 2 }]);
        assert_eq!(made.counts.len(), 2);
        assert_eq!((made.counts[1].family.as_str(), made.counts[1].rejected), ("1:2", 1));
    }
}
