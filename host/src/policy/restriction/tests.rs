use std::collections::BTreeMap;

use super::super::hyper::tests::tiny;
use super::*;
use crate::crystal::{wyckoff_position, wyckoff_positions};

/// Atoms of each element by symbol.
type Atoms = BTreeMap<&'static str, usize>;

fn element(symbol: &str) -> Element {
    Element::from_symbol(symbol).unwrap()
}

fn only(symbols: &[&str]) -> Option<Vec<bool>> {
    let mut flags = vec![false; 119];
    symbols.iter().for_each(|symbol| flags[usize::from(element(symbol).number())] = true);
    Some(flags)
}

fn restriction(wanted: WantedCrystals) -> Result<Restriction, RestrictionError> {
    Restriction::new(wanted, &tiny())
}

/// Every crystal that can be written, letter by letter and element by element.
struct Tree<'a> {
    restriction: &'a Restriction,
    group: SpaceGroup,
    slots: usize,
    elements: Vec<Element>,
    wanted: &'a dyn Fn(&Atoms) -> bool,
    nodes: usize,
}

impl Tree<'_> {
    /// Whether some way of going on ends in a wanted crystal; compares the masks with what comes of each choice.
    fn can_end(&mut self, sites: &mut Vec<Site>) -> bool {
        self.nodes += 1;
        let previous = sites.last().map(|site| site.wyckoff);
        let stop = !sites.is_empty() && (self.wanted)(&atoms(self.group, sites));
        let mut letters = vec![false; 28];
        letters[0] = stop;
        let mut elements = BTreeMap::new();
        if sites.len() < self.slots {
            for position in wyckoff_positions(self.group) {
                // Said once more: letters ascend, and fixed points are taken once.
                let letter = position.index;
                if previous.is_some_and(|previous| letter < previous || letter == previous && position.dof0) {
                    continue;
                }
                for species in self.elements.clone() {
                    sites.push(Site { wyckoff: letter, species, coord: [0.0; 3] });
                    let reaches = self.can_end(sites);
                    sites.pop();
                    elements.insert((letter, species), reaches);
                    letters[usize::from(letter)] |= reaches;
                }
            }
        }
        let any = letters.contains(&true);
        if any {
            assert_eq!(self.restriction.letters(self.group, sites), letters, "{:?} {sites:?}", self.group);
            for ((letter, species), reaches) in elements {
                let mask = self.restriction.elements(self.group, sites, letter);
                assert_eq!(
                    mask[usize::from(species.number())],
                    reaches,
                    "{:?} {sites:?} {letter} {species}",
                    self.group
                );
            }
        }
        any
    }
}

fn atoms(group: SpaceGroup, sites: &[Site]) -> Atoms {
    let mut atoms = Atoms::new();
    for site in sites {
        *atoms.entry(site.species.symbol()).or_default() +=
            wyckoff_position(group, site.wyckoff).unwrap().multiplicity();
    }
    atoms
}

/// Compares the masks with the tree of all crystals of at most `slots` sites from these elements; says whether the root has one.
fn compare(group: i64, slots: usize, symbols: &[&str], wanted: WantedCrystals, is: &dyn Fn(&Atoms) -> bool) -> bool {
    let wanted = WantedCrystals { allowed: only(symbols), max_sites: Some(slots), ..wanted };
    let restriction = restriction(wanted).unwrap();
    let group = SpaceGroup::new(group).unwrap();
    let elements = symbols.iter().map(|symbol| element(symbol)).collect();
    let mut tree = Tree { restriction: &restriction, group, slots, elements, wanted: is, nodes: 0 };
    let possible = tree.can_end(&mut Vec::new());
    assert!(tree.nodes > 100, "{} nodes", tree.nodes);
    assert_eq!(restriction.allows(group), possible);
    possible
}

#[test]
fn masks_leave_what_can_still_become_a_crystal_with_the_elements() {
    let wanted = WantedCrystals { required: vec![element("Li"), element("O")], ..WantedCrystals::default() };
    for (group, slots) in [(225, 2), (62, 3), (2, 2)] {
        for most in [4, 8, 24] {
            let wanted = WantedCrystals { max_atoms: Some(most), ..wanted.clone() };
            let is = |a: &Atoms| a.contains_key("Li") && a.contains_key("O") && a.values().sum::<usize>() <= most;
            let possible = compare(group, slots, &["Li", "O", "Fe"], wanted, &is);
            // Two sites have at least 4 + 4 atoms in Fm-3m and Pnma, 1 + 1 in P-1.
            assert_eq!(possible, group == 2 || most >= 8, "{group} {most}");
        }
    }
}

#[test]
fn masks_count_elements() {
    for (min, max) in [(None, Some(1)), (Some(2), Some(2)), (Some(3), None), (Some(1), Some(2))] {
        let wanted = WantedCrystals {
            required: vec![element("O")],
            min_elements: min,
            max_elements: max,
            max_atoms: Some(20),
            ..WantedCrystals::default()
        };
        let is = |a: &Atoms| {
            a.contains_key("O")
                && min.is_none_or(|min| a.len() >= min)
                && max.is_none_or(|max| a.len() <= max)
                && a.values().sum::<usize>() <= 20
        };
        assert!(compare(62, 3, &["Li", "O", "Fe"], wanted, &is));
    }
}

/// Lithium, twice as much oxygen, and one other element as much as lithium.
fn is_limo2(atoms: &Atoms) -> bool {
    let (li, o) = (atoms.get("Li").copied().unwrap_or(0), atoms.get("O").copied().unwrap_or(0));
    let others: Vec<usize> = atoms.iter().filter(|(s, _)| !["Li", "O"].contains(s)).map(|(_, n)| *n).collect();
    li > 0 && o == 2 * li && others == [li]
}

#[test]
fn masks_lead_to_the_formula() {
    let limo2 = || WantedCrystals { formula: Some("LiMO2".parse().unwrap()), ..WantedCrystals::default() };
    let symbols = ["Li", "O", "Fe", "Co"];
    // LiCoO2 itself is a b c of group 166: 3, 3 and 6 atoms.
    assert!(compare(166, 3, &symbols, limo2(), &is_limo2));
    // F-43m: 24, 24 and 48 atoms.
    assert!(compare(216, 3, &symbols, limo2(), &is_limo2));
    assert!(compare(2, 4, &["Li", "O", "Fe"], limo2(), &is_limo2));
    let small = WantedCrystals { max_atoms: Some(11), ..limo2() };
    assert!(!compare(166, 3, &symbols, small, &|a| is_limo2(a) && a.values().sum::<usize>() <= 11));
}

#[test]
fn placeholders_are_different_elements() {
    let family = |text: &str| WantedCrystals { formula: Some(text.parse().unwrap()), ..WantedCrystals::default() };
    let amounts = |a: &Atoms| {
        let mut amounts: Vec<usize> = a.values().copied().collect();
        amounts.sort_unstable();
        amounts
    };
    let is_a2x = |a: &Atoms| matches!(amounts(a)[..], [x, two] if two == 2 * x);
    assert!(compare(225, 2, &["Li", "O", "Fe"], family("A2X"), &is_a2x));
    assert!(compare(62, 3, &["Li", "O", "Fe"], family("A2X"), &is_a2x));
    let is_ax3 = |a: &Atoms| matches!(amounts(a)[..], [x, three] if three == 3 * x);
    assert!(compare(221, 2, &["Li", "O"], family("AX3"), &is_ax3));
    // Groups 229 and 230 have 2 and 6, but also 16 and 24 atoms: a site of each would not do.
    assert!(compare(230, 2, &["Li", "O"], family("AX3"), &is_ax3));
    let is_salt = |a: &Atoms| a.len() == 2 && a.get("O").is_some_and(|o| a.values().all(|n| n == o));
    assert!(compare(194, 3, &["Li", "O", "Fe"], family("MO"), &is_salt));
}

#[test]
fn contradictions_are_refused() {
    let refused = |wanted| restriction(wanted).unwrap_err().to_string();
    let wanted = WantedCrystals::default;
    let li = || vec![element("Li")];
    assert!(refused(WantedCrystals { max_atoms: Some(0), ..wanted() }).starts_with("the largest number of atoms is 0"));
    let absent = WantedCrystals { required: li(), allowed: only(&["O"]), ..wanted() };
    assert!(refused(absent).starts_with("every crystal shall have Li, which is not among the elements"));
    let formula = || Some("LiMO2".parse().unwrap());
    let beside = restriction(WantedCrystals { formula: formula(), required: li(), ..wanted() }).unwrap_err();
    assert_eq!(
        beside.to_string(),
        "a formula says which elements a crystal has, so a list of required elements cannot stand beside it"
    );
    assert_eq!(beside.hints().len(), 1);
    assert!(restriction(WantedCrystals { formula: formula(), min_elements: Some(2), ..wanted() }).is_err());
    let two = WantedCrystals { formula: formula(), max_sites: Some(2), ..wanted() };
    assert_eq!(refused(two), "3 different elements are wanted, but the sites of a crystal are at most 2");
    let few = WantedCrystals { min_elements: Some(3), allowed: only(&["Li", "O"]), ..wanted() };
    assert_eq!(refused(few), "3 different elements are wanted, but the elements that are allowed are at most 2");
    let crossed = WantedCrystals { min_elements: Some(3), max_elements: Some(2), ..wanted() };
    assert_eq!(refused(crossed), "3 different elements are wanted, but the number of elements is at most 2");
    let no_metal = WantedCrystals { formula: formula(), allowed: only(&["Li", "O"]), ..wanted() };
    assert_eq!(refused(no_metal), "3 different elements are wanted, but the elements that are allowed are at most 2");
}
