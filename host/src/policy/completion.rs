//! What can still be added to a crystal that has been begun, and whether it can become what is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::letters::letter_may_follow;
use crate::crystal::{Element, FormulaFamily, Site, SpaceGroup, wyckoff_position, wyckoff_positions};

/// Answers that are remembered; beyond, all are forgotten.
const MOST_ANSWERS: usize = 1 << 20;

/// A crystal that has been begun, as far as the rules for its completion go.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub group: SpaceGroup,
    /// Letter of the last site; `None` for the first.
    pub previous: Option<u8>,
    /// Sites that may follow.
    pub slots: usize,
    /// In the conventional cell.
    pub atoms: usize,
    /// Atoms of each element, in the order in which the elements came.
    pub counts: Vec<(Element, usize)>,
}

impl Begun {
    pub fn new(group: SpaceGroup, slots: usize) -> Self {
        Self { group, previous: None, slots, atoms: 0, counts: Vec::new() }
    }

    /// With another site behind the others.
    pub fn add(&mut self, letter: u8, element: Element) {
        let atoms = wyckoff_position(self.group, letter).map_or(0, |position| position.multiplicity());
        self.previous = Some(letter);
        self.slots = self.slots.saturating_sub(1);
        self.atoms += atoms;
        match self.counts.iter_mut().find(|(known, _)| *known == element) {
            Some((_, count)) => *count += atoms,
            None => self.counts.push((element, atoms)),
        }
    }

    pub fn of(group: SpaceGroup, sites: &[Site], slots: usize) -> Self {
        let mut begun = Self::new(group, slots);
        sites.iter().for_each(|site| begun.add(site.wyckoff, site.species));
        begun
    }
}

/// The positions that further sites can take, as numbers of atoms, ascending.
#[derive(Debug)]
pub(super) struct Room {
    /// Positions without a free coordinate, which can be taken once: their atoms, and how many such positions there are.
    once: Vec<(usize, usize)>,
    /// Atoms of the positions that can be taken any number of times.
    often: Vec<usize>,
}

impl Room {
    pub fn after(group: SpaceGroup, previous: Option<u8>) -> Self {
        let mut room = Self { once: Vec::new(), often: Vec::new() };
        for position in wyckoff_positions(group) {
            if !letter_may_follow(group, previous, position.index.into()) {
                continue;
            }
            let atoms = position.multiplicity();
            match room.once.iter_mut().find(|(known, _)| *known == atoms) {
                _ if !position.dof0 => room.often.push(atoms),
                Some((_, positions)) => *positions += 1,
                None => room.once.push((atoms, 1)),
            }
        }
        room.once.sort_unstable();
        room.often.sort_unstable();
        room.often.dedup();
        room
    }

    /// Fewest atoms that `sites` further sites can have.
    pub fn fewest_atoms(&self, mut sites: usize) -> Option<usize> {
        let often = self.often.first().copied();
        let mut sum = 0;
        for (atoms, positions) in &self.once {
            if often.is_none_or(|often| *atoms < often) {
                let taken = sites.min(*positions);
                sum += taken * atoms;
                sites -= taken;
            }
        }
        if sites == 0 { Some(sum) } else { Some(sum + sites * often?) }
    }

    fn largest(&self) -> usize {
        let once = self.once.last().map_or(0, |(atoms, _)| *atoms);
        self.often.last().map_or(once, |often| once.max(*often))
    }
}

/// Whether crystals that have been begun can get a composition of a family. Answers are remembered: the same question comes
/// with every crystal.
#[derive(Debug)]
pub(super) struct FormulaSearch {
    family: FormulaFamily,
    /// Largest number of atoms in the conventional cell.
    most_atoms: usize,
    /// Sites of the largest crystal.
    slots: usize,
    answers: Mutex<HashMap<Question, bool>>,
    rooms: Mutex<HashMap<Place, Arc<Payments>>>,
}

/// Number of a space group, and the letter of the last site.
type Place = (u8, Option<u8>);

/// Amount per formula unit and atoms so far of each element, sorted: all that a family's completion depends on, besides the room.
type Shares = Vec<(usize, usize)>;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Question {
    group: u8,
    previous: Option<u8>,
    slots: usize,
    shares: Shares,
}

/// The room behind a letter, and the fewest sites that give so many atoms (`u32::MAX`: none do).
#[derive(Debug)]
struct Payments {
    room: Room,
    /// On positions that can be taken any number of times.
    fewest_sites: Vec<u32>,
    /// If all positions could be taken any number of times: never more than it takes.
    at_least: Vec<u32>,
}

impl FormulaSearch {
    pub fn new(family: FormulaFamily, most_atoms: Option<usize>, slots: usize) -> Self {
        let most_atoms = most_atoms.unwrap_or(usize::MAX);
        Self { family, most_atoms, slots, answers: Mutex::default(), rooms: Mutex::default() }
    }

    /// Whether some further sites, or none, make a crystal of the family.
    pub fn can_end(&self, begun: &Begun) -> bool {
        let named = self.family.named();
        let count = |element| begun.counts.iter().find(|(known, _)| *known == element).map_or(0, |(_, count)| *count);
        let shares: Shares = named.iter().map(|(element, amount)| (*amount, count(*element))).collect();
        let other = |(element, _): &&(Element, usize)| named.iter().all(|(known, _)| known != element);
        let others: Vec<usize> = begun.counts.iter().filter(other).map(|(_, count)| *count).collect();
        let open: Shares = self.family.placeholders().iter().map(|(_, amount)| (*amount, 0)).collect();
        self.any_assignment(begun, &shares, &others, open)
    }

    /// The same without further sites.
    pub fn is_complete(&self, begun: &Begun) -> bool {
        self.can_end(&Begun { slots: 0, ..begun.clone() })
    }

    /// Tries every way in which the elements that the formula does not name can be its placeholders.
    fn any_assignment(&self, begun: &Begun, named: &Shares, others: &[usize], open: Shares) -> bool {
        let Some((count, others)) = others.split_first() else {
            let mut shares = [&named[..], &open].concat();
            shares.sort_unstable();
            return self.answer(begun, shares);
        };
        (0..open.len()).filter(|place| open[*place].1 == 0).any(|place| {
            let mut taken = open.clone();
            taken[place].1 = *count;
            self.any_assignment(begun, named, others, taken)
        })
    }

    fn answer(&self, begun: &Begun, shares: Shares) -> bool {
        let Begun { group, previous, slots, .. } = *begun;
        let question = Question { group: group.number(), previous, slots, shares };
        if let Some(answer) = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&question) {
            return *answer;
        }
        let answer = self.payments(group, previous).reach(&question.shares, slots, self.most_atoms);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST_ANSWERS {
            answers.clear();
        }
        answers.insert(question, answer);
        answer
    }

    fn payments(&self, group: SpaceGroup, previous: Option<u8>) -> Arc<Payments> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Payments::new(Room::after(group, previous), self.slots));
        Arc::clone(rooms.entry((group.number(), previous)).or_insert_with(made))
    }
}

impl Payments {
    fn new(room: Room, slots: usize) -> Self {
        let most = slots * room.largest();
        let once = room.once.iter().map(|(atoms, _)| *atoms);
        let all: Vec<usize> = once.chain(room.often.iter().copied()).collect();
        let (fewest_sites, at_least) = (fewest(&room.often, most), fewest(&all, most));
        Self { room, fewest_sites, at_least }
    }

    /// A bound that costs little, before the ways are counted.
    fn may_pay(&self, needs: &[usize], slots: usize) -> bool {
        let sites = needs.iter().map(|need| self.at_least.get(*need).map_or(u32::MAX, |sites| *sites));
        sites.fold(0u32, u32::saturating_add) as usize <= slots
    }

    /// Whether at most `slots` sites take the elements from what they have to some number of formula units.
    fn reach(&self, shares: &Shares, slots: usize, most_atoms: usize) -> bool {
        let unit: usize = shares.iter().map(|(amount, _)| amount).sum();
        let placed: usize = shares.iter().map(|(_, count)| count).sum();
        let fewest = shares.iter().map(|(amount, count)| count.div_ceil(*amount)).max().unwrap_or(1).max(1);
        let most = most_atoms.min(placed + slots * self.room.largest()) / unit.max(1);
        let mut needs = vec![0; shares.len()];
        (fewest..=most).any(|units| {
            needs.iter_mut().zip(shares).for_each(|(need, (amount, count))| *need = units * amount - count);
            self.may_pay(&needs, slots) && self.pay(&needs, slots)
        })
    }

    /// Whether at most `slots` sites give each element exactly so many more atoms.
    fn pay(&self, needs: &[usize], slots: usize) -> bool {
        let atoms: Vec<usize> = self.room.once.iter().map(|(atoms, _)| *atoms).collect();
        let all: Vec<usize> = self.room.once.iter().map(|(_, positions)| *positions).collect();
        // Fewest sites so far, by what is left of the positions that can be taken once.
        let mut ways: HashMap<Vec<usize>, usize> = HashMap::from([(all, 0)]);
        for need in needs.iter().filter(|need| **need > 0) {
            let mut next: HashMap<Vec<usize>, usize> = HashMap::new();
            for (mut left, used) in ways {
                each_part(&atoms, &mut left, 0, (*need, 0), &mut |left, rest, taken| {
                    let often = self.fewest_sites.get(rest).map_or(u32::MAX, |sites| *sites) as usize;
                    let sites = used + taken + often;
                    if sites <= slots {
                        next.entry(left.to_vec()).and_modify(|best| *best = sites.min(*best)).or_insert(sites);
                    }
                });
            }
            ways = next;
        }
        !ways.is_empty()
    }
}

/// The fewest of these numbers, each as often as one likes, that sum up to 0, 1, ... `most`; `u32::MAX` where none do.
fn fewest(numbers: &[usize], most: usize) -> Vec<u32> {
    let mut fewest = vec![u32::MAX; most + 1];
    fewest[0] = 0;
    for sum in 1..fewest.len() {
        let before = numbers.iter().filter_map(|number| fewest.get(sum.checked_sub(*number)?));
        fewest[sum] = before.min().map_or(u32::MAX, |count| count.saturating_add(1));
    }
    fewest
}

/// Every way to give an element some of the positions that can be taken once: `visit(left, atoms still needed, positions taken)`.
fn each_part(
    atoms: &[usize],
    left: &mut Vec<usize>,
    from: usize,
    (need, taken): (usize, usize),
    visit: &mut impl FnMut(&[usize], usize, usize),
) {
    if from == atoms.len() {
        return visit(left, need, taken);
    }
    let all = left[from];
    for used in 0..=all.min(need / atoms[from]) {
        left[from] = all - used;
        each_part(atoms, left, from + 1, (need - used * atoms[from], taken + used), visit);
    }
    left[from] = all;
}
