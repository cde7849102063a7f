//! Oxidation states guessed from a composition: pymatgen's `Composition.oxi_state_guesses`, its first answer.

use std::collections::BTreeMap;

use crate::elements::oxidation_states;

/// Largest formula unit, atoms, for which states are guessed.
const LARGEST: u32 = 20;

/// A sum of oxidation states over the atoms of one element, and how often the ICSD has the states of the likeliest way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    charge: i32,
    score: u64,
}

/// Mean oxidation state of each element in the likeliest neutral assignment; empty where there is none, where amounts are not
/// whole, or beyond 20 atoms.
pub(crate) fn guess(composition: &[(u8, f64)]) -> BTreeMap<u8, f64> {
    let Some(counts) = formula_unit(composition) else { return BTreeMap::new() };
    let sums: Vec<Vec<Sum>> = counts.iter().map(|(element, count)| sums(*element, *count)).collect();
    let Some(charges) = likeliest(&sums) else { return BTreeMap::new() };
    let mean = |((element, count), charge): (&(u8, u32), i32)| (*element, f64::from(charge) / f64::from(*count));
    counts.iter().zip(charges).map(mean).collect()
}

/// Atoms of the formula in lowest terms, if they are whole and few.
fn formula_unit(composition: &[(u8, f64)]) -> Option<Vec<(u8, u32)>> {
    let whole = |amount: f64| (amount.fract() == 0.0 && (1.0..=1e9).contains(&amount)).then_some(amount as u32);
    let counts = composition.iter().map(|(element, amount)| Some((*element, whole(*amount)?)));
    let counts: Vec<(u8, u32)> = counts.collect::<Option<_>>()?;
    let factor = counts.iter().fold(0, |factor, (_, count)| gcd(factor, *count)).max(1);
    let unit: Vec<(u8, u32)> = counts.into_iter().map(|(element, count)| (element, count / factor)).collect();
    let atoms = unit.iter().fold(0u32, |atoms, (_, count)| atoms.saturating_add(*count));
    (atoms <= LARGEST).then_some(unit)
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The sums of all combinations with repetition of an element's states over `count` atoms, in the order in which an enumeration
/// in lexicographic order first meets them, which decides between equally likely answers.
fn sums(element: u8, count: u32) -> Vec<Sum> {
    let states = oxidation_states(element);
    let mut found: Vec<Sum> = Vec::new();
    let mut combination = vec![0usize; count as usize];
    if states.is_empty() {
        return found;
    }
    loop {
        let charge = combination.iter().map(|state| states[*state].0).sum();
        let score = combination.iter().map(|state| u64::from(states[*state].1)).sum();
        match found.iter_mut().find(|sum| sum.charge == charge) {
            Some(sum) => sum.score = sum.score.max(score),
            None => found.push(Sum { charge, score }),
        }
        // The next combination: the last place that can grow does, and those after it follow.
        let Some(place) = combination.iter().rposition(|state| state + 1 < states.len()) else { return found };
        let next = combination[place] + 1;
        combination[place..].fill(next);
    }
}

/// One charge for each element, neutral in all and of the highest total score; of equal ones the first in lexicographic order.
fn likeliest(sums: &[Vec<Sum>]) -> Option<Vec<i32>> {
    // What the elements from `i` on can reach: total charge to best score.
    let mut reach: Vec<BTreeMap<i32, u64>> = vec![BTreeMap::from([(0, 0)])];
    for element in sums.iter().rev() {
        let mut further = BTreeMap::new();
        for (rest, below) in reach.last()? {
            for sum in element {
                let best = further.entry(rest + sum.charge).or_insert(0);
                *best = (*best).max(below + sum.score);
            }
        }
        reach.push(further);
    }
    reach.reverse();
    let (mut charge, mut score) = (0, *reach[0].get(&0)?);
    let mut charges = Vec::new();
    for (element, rest) in sums.iter().zip(&reach[1..]) {
        let fits = |sum: &&Sum| rest.get(&(charge - sum.charge)).is_some_and(|below| below + sum.score == score);
        let sum = element.iter().find(fits)?;
        (charge, score) = (charge - sum.charge, score - sum.score);
        charges.push(sum.charge);
    }
    Some(charges)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every choice of one sum per element, as pymatgen goes through them.
    fn by_enumeration(sums: &[Vec<Sum>]) -> Option<Vec<i32>> {
        let mut best: Option<(u64, Vec<i32>)> = None;
        let mut choice = vec![0; sums.len()];
        if sums.iter().any(Vec::is_empty) {
            return None;
        }
        loop {
            let chosen: Vec<Sum> = choice.iter().zip(sums).map(|(i, element)| element[*i]).collect();
            let score = chosen.iter().map(|sum| sum.score).sum();
            let neutral = chosen.iter().map(|sum| sum.charge).sum::<i32>() == 0;
            if neutral && best.as_ref().is_none_or(|(highest, _)| score > *highest) {
                best = Some((score, chosen.iter().map(|sum| sum.charge).collect()));
            }
            let Some(place) = choice.iter().zip(sums).rposition(|(i, element)| i + 1 < element.len()) else {
                return best.map(|(_, charges)| charges);
            };
            choice[place] += 1;
            choice[place + 1..].fill(0);
        }
    }

    #[test]
    fn the_likeliest_assignment_is_that_of_the_full_enumeration() {
        for formula in
            [&[(26, 3), (8, 4)][..], &[(25, 2), (27, 4), (8, 8)], &[(6, 4), (7, 4), (34, 4)], &[(79, 1), (17, 1)]]
        {
            let sums: Vec<Vec<Sum>> = formula.iter().map(|(element, count)| sums(*element, *count)).collect();
            assert_eq!(likeliest(&sums), by_enumeration(&sums), "{formula:?}");
        }
        let tie = |charge| Sum { charge, score: 5 };
        let tied = [vec![tie(1), tie(-1)], vec![tie(-1), tie(1)]];
        assert_eq!(likeliest(&tied), Some(vec![1, -1]));
    }

    #[test]
    fn formulas_that_cannot_be_guessed() {
        assert!(guess(&[(3, 0.5), (8, 1.0)]).is_empty());
        assert!(guess(&[(3, 21.0), (8, 2.0)]).is_empty());
        assert!(guess(&[(3, 1.0), (8, 1.0)]).is_empty());
        assert!(guess(&[]).is_empty());
        assert_eq!(guess(&[(3, 40.0), (8, 20.0)]), BTreeMap::from([(3, 1.0), (8, -2.0)]));
        // Many elements, which an enumeration would not end with.
        let many: Vec<(u8, f64)> = (22..42).map(|z| (z, 1.0)).collect();
        assert!(guess(&many).len() <= 20);
    }
}
