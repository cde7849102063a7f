//! Crystals of a wanted kind: a policy that is restricted to them.
//!
//! At every letter and element, choices from which no such crystal can be reached are out of the question, and the others keep
//! their proportions. What is drawn is therefore always a crystal of the wanted kind, and its probability is exactly known: the
//! same masks go into the likelihood graphs. It is another distribution than that of a policy whose unwanted crystals are
//! thrown away, because a choice is not weighed by how likely the policy is to go on well from it.

use super::Hyperparameters;
use super::completion::{Begun, FormulaSearch, Room};
use super::letters::letter_may_follow;
use crate::crystal::{Element, FormulaFamily, Site, SpaceGroup};
use crate::hint::Hint;

/// What crystals are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WantedCrystals {
    /// One flag per atom class: the elements that may appear; absent: all.
    pub allowed: Option<Vec<bool>>,
    /// Elements that every crystal has.
    pub required: Vec<Element>,
    /// Most Wyckoff sites.
    pub max_sites: Option<usize>,
    /// Most atoms in the conventional cell.
    pub max_atoms: Option<usize>,
    /// Fewest different elements.
    pub min_elements: Option<usize>,
    /// Most different elements.
    pub max_elements: Option<usize>,
    /// Compositions that a crystal may have.
    pub formula: Option<FormulaFamily>,
}

/// A policy's restriction to wanted crystals.
#[derive(Debug)]
pub struct Restriction {
    wanted: WantedCrystals,
    letters: usize,
    classes: usize,
    /// Sites of the largest crystal.
    slots: usize,
    /// The elements that may appear and need not.
    others: Vec<Element>,
    search: Option<FormulaSearch>,
}

/// Why no crystal is as wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestrictionError {
    /// A number that must be positive.
    #[error("{0} is 0, but a crystal has at least one")]
    Zero(&'static str),
    /// An element that must appear and may not.
    #[error("every crystal shall have {0}, which is not among the elements that are allowed or that the policy knows")]
    NotAllowed(Element),
    /// A formula together with what it says itself.
    #[error("a formula says which elements a crystal has, so {0} cannot stand beside it")]
    BesideFormula(&'static str),
    /// More of something than there can be.
    #[error("{needed} different elements are wanted, but {what} at most {most}")]
    TooMany {
        /// Elements that a crystal would have at least.
        needed: usize,
        /// What limits them.
        what: &'static str,
        /// The limit.
        most: usize,
    },
}

impl Hint for RestrictionError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::BesideFormula(_) => vec!["write elements that must appear into the formula".to_owned()],
            _ => Vec::new(),
        }
    }
}

impl Restriction {
    /// The restriction of a policy of these hyper-parameters.
    ///
    /// # Errors
    /// [`RestrictionError`] where the wishes contradict each other. A space group may still have no such crystal: see
    /// [`Restriction::allows`].
    pub fn new(mut wanted: WantedCrystals, hyper: &Hyperparameters) -> Result<Self, RestrictionError> {
        wanted.required.sort_unstable();
        wanted.required.dedup();
        let slots = wanted.max_sites.unwrap_or(usize::MAX).min(hyper.n_max);
        let formula = wanted.formula.clone();
        let search = formula.map(|family| FormulaSearch::new(family, wanted.max_atoms, slots));
        let (letters, classes, others) = (hyper.wyck_types, hyper.atom_types, Vec::new());
        let mut restriction = Self { wanted, letters, classes, slots, others, search };
        restriction.check()?;
        let is_other = |element: &Element| {
            restriction.allowed(element.number().into()) && restriction.always().all(|known| known != *element)
        };
        restriction.others = (1..=118).filter_map(Element::from_number).filter(is_other).collect();
        Ok(restriction)
    }

    fn check(&self) -> Result<(), RestrictionError> {
        let wanted = &self.wanted;
        let numbers = [
            ("the largest number of sites", wanted.max_sites),
            ("the largest number of atoms", wanted.max_atoms),
            ("the largest number of elements", wanted.max_elements),
        ];
        if let Some((what, _)) = numbers.into_iter().find(|(_, number)| *number == Some(0)) {
            return Err(RestrictionError::Zero(what));
        }
        if wanted.formula.is_some() {
            let beside = [
                ("a list of required elements", !wanted.required.is_empty()),
                ("a number of elements", wanted.min_elements.or(wanted.max_elements).is_some()),
            ];
            if let Some((what, _)) = beside.into_iter().find(|(_, given)| *given) {
                return Err(RestrictionError::BesideFormula(what));
            }
        }
        if let Some(element) = self.always().find(|element| !self.allowed(usize::from(element.number()))) {
            return Err(RestrictionError::NotAllowed(element));
        }
        self.check_counts()
    }

    fn check_counts(&self) -> Result<(), RestrictionError> {
        let wanted = &self.wanted;
        let fewest = wanted.formula.as_ref().map_or(wanted.min_elements.unwrap_or(1), FormulaFamily::elements);
        let needed = fewest.max(wanted.required.len());
        let allowed = (0..self.classes).filter(|class| self.allowed(*class)).count();
        let limits = [
            ("the number of elements is", wanted.max_elements.unwrap_or(usize::MAX)),
            ("the elements that are allowed are", allowed),
            ("the sites of a crystal are", self.slots),
            ("the atoms of a crystal are", wanted.max_atoms.unwrap_or(usize::MAX)),
        ];
        match limits.into_iter().find(|(_, most)| needed > *most) {
            Some((what, most)) => Err(RestrictionError::TooMany { needed, what, most }),
            None => Ok(()),
        }
    }

    /// The elements that a crystal may have.
    pub fn possible(&self) -> Vec<Element> {
        let closed = self.wanted.formula.as_ref().is_some_and(|family| family.placeholders().is_empty());
        let possible = |element: &Element| {
            self.allowed(element.number().into()) && (!closed || self.always().any(|named| named == *element))
        };
        (1..=118).filter_map(Element::from_number).filter(possible).collect()
    }

    /// The elements that every crystal has.
    pub fn always(&self) -> impl Iterator<Item = Element> + '_ {
        let named = self.wanted.formula.iter().flat_map(|family| family.named().iter().map(|(element, _)| *element));
        self.wanted.required.iter().copied().chain(named)
    }

    fn allowed(&self, class: usize) -> bool {
        let listed = self.wanted.allowed.as_ref().is_none_or(|allowed| allowed.get(class) == Some(&true));
        listed && class > 0 && class < self.classes
    }

    /// Whether a space group has a wanted crystal.
    pub fn allows(&self, group: SpaceGroup) -> bool {
        self.letters(group, &[]).contains(&true)
    }

    /// The letters that may come behind some sites, one flag per class; class 0 is the stop.
    pub(super) fn letters(&self, group: SpaceGroup, sites: &[Site]) -> Vec<bool> {
        let begun = Begun::of(group, sites, self.slots);
        if self.is_of_elements_alone() {
            return (0..self.letters).map(|letter| letter_may_follow(group, begun.previous, letter)).collect();
        }
        let may = |letter: usize| {
            letter_may_follow(group, begun.previous, letter)
                && match u8::try_from(letter) {
                    Ok(0) => self.is_complete(&begun),
                    Ok(letter) => self.any_element_at(&begun, letter),
                    Err(_) => false,
                }
        };
        (0..self.letters).map(may).collect()
    }

    /// The elements that may take `letter` behind some sites, one flag per atom class.
    pub(super) fn elements(&self, group: SpaceGroup, sites: &[Site], letter: u8) -> Vec<bool> {
        if let Some(fixed) = self.fixed_elements() {
            return fixed;
        }
        self.elements_at(&Begun::of(group, sites, self.slots), letter)
    }

    /// The elements that may appear, where that does not depend on the other sites.
    pub(super) fn fixed_elements(&self) -> Option<Vec<bool>> {
        self.has_fixed_elements().then(|| (0..self.classes).map(|class| self.allowed(class)).collect())
    }

    fn has_fixed_elements(&self) -> bool {
        let wanted = &self.wanted;
        wanted.required.is_empty() && wanted.min_elements.or(wanted.max_elements).is_none() && wanted.formula.is_none()
    }

    /// Whether nothing is said of letters.
    fn is_of_elements_alone(&self) -> bool {
        self.has_fixed_elements() && self.wanted.max_sites.or(self.wanted.max_atoms).is_none()
    }

    fn elements_at(&self, begun: &Begun, letter: u8) -> Vec<bool> {
        let mut flags = vec![false; self.classes];
        if begun.slots == 0 {
            return flags;
        }
        let special = self.special(begun);
        if let Some(other) = self.first_other(&special)
            && self.fits(begun, letter, other)
        {
            self.others.iter().for_each(|element| flags[usize::from(element.number())] = true);
        }
        for element in special {
            flags[usize::from(element.number())] = self.fits(begun, letter, element);
        }
        flags
    }

    /// Whether any element may take `letter`.
    fn any_element_at(&self, begun: &Begun, letter: u8) -> bool {
        let special = self.special(begun);
        let other = self.first_other(&special);
        begun.slots > 0 && special.into_iter().chain(other).any(|element| self.fits(begun, letter, element))
    }

    /// The elements that are there already or must come. All the others have the same prospects.
    fn special(&self, begun: &Begun) -> Vec<Element> {
        let mut special: Vec<Element> = begun.counts.iter().map(|(element, _)| *element).collect();
        special.extend(self.always().filter(|element| begun.counts.iter().all(|(known, _)| known != element)));
        special.retain(|element| self.allowed(element.number().into()));
        special
    }

    fn first_other(&self, special: &[Element]) -> Option<Element> {
        self.others.iter().find(|element| !special.contains(element)).copied()
    }

    fn fits(&self, begun: &Begun, letter: u8, element: Element) -> bool {
        let mut with = begun.clone();
        with.add(letter, element);
        self.can_end(&with)
    }

    /// Whether a crystal that has been begun is a wanted one already.
    fn is_complete(&self, begun: &Begun) -> bool {
        match &self.search {
            Some(search) => search.is_complete(begun),
            None => self.missing(begun) == 0,
        }
    }

    /// Required elements that are not there yet.
    fn absent(&self, begun: &Begun) -> usize {
        let there = |element: &Element| begun.counts.iter().any(|(known, _)| known == element);
        self.wanted.required.iter().filter(|element| !there(element)).count()
    }

    /// New elements that must still come.
    fn missing(&self, begun: &Begun) -> usize {
        let fewest = self.wanted.min_elements.unwrap_or(0);
        self.absent(begun).max(fewest.saturating_sub(begun.counts.len()))
    }

    /// Whether a crystal that has been begun can become a wanted one.
    fn can_end(&self, begun: &Begun) -> bool {
        let most_atoms = self.wanted.max_atoms.unwrap_or(usize::MAX);
        let Some(atoms) = most_atoms.checked_sub(begun.atoms) else { return false };
        if let Some(search) = &self.search {
            return search.can_end(begun);
        }
        let most_elements = self.wanted.max_elements.unwrap_or(usize::MAX);
        let missing = self.missing(begun);
        let fits = || Room::after(begun.group, begun.previous).fewest_atoms(missing).is_some_and(|n| n <= atoms);
        begun.counts.len() + self.absent(begun) <= most_elements && missing <= begun.slots && (missing == 0 || fits())
    }
}

#[cfg(test)]
mod tests;
