//! The symmetry operators of a space group that a CIF names and does not list.

use super::hall;
use super::operator::Operator;
use super::setting::{Setting, all_of_number, by_number, by_symbol, tabulated};
use crate::crystal::Lattice;
use crate::crystal::files::record::{RecordWarning, excerpt};
use crate::crystal::operation::Operation;

/// What a file says about its space group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GroupName<'a> {
    pub hermann_mauguin: Option<&'a str>,
    pub hall: Option<&'a str>,
    pub number: Option<&'a str>,
    /// `_space_group_IT_coordinate_system_code`: origin, axes or cell.
    pub code: Option<&'a str>,
}

impl GroupName<'_> {
    /// The first name that is given, for messages.
    pub fn text(&self) -> String {
        self.hermann_mauguin.or(self.hall).or(self.number).map_or_else(String::new, excerpt)
    }
}

/// The operators of a named group in the one setting that all its names and the cell allow; the identity where there is
/// no name at all. Names that are unknown are passed over if another one is known.
///
/// # Errors
/// A sentence: the group is unknown, names contradict each other, the cell does not have the symmetry, or several
/// settings remain.
pub(super) fn operators_of_group(
    group: &GroupName,
    lattice: &Lattice,
    warnings: &mut Vec<RecordWarning>,
) -> Result<Vec<Operator>, String> {
    let by_hall = group.hall.and_then(hall::operations);
    let ranked = by_names(group)?;
    if let Some(operations) = by_hall {
        return by_hall_symbol(group, &operations, &ranked, lattice);
    }
    if ranked.is_empty() {
        if [group.hermann_mauguin, group.hall, group.number].iter().all(Option::is_none) {
            return Ok(vec![Operator::IDENTITY]);
        }
        return Err(format!("unknown space group {}, and no symmetry operators are listed", group.text()));
    }
    if let Some(unknown) = group.hermann_mauguin.filter(|symbol| by_symbol(symbol).is_empty()) {
        let (unknown, taken) = (excerpt(unknown), ranked[0][0].name());
        warnings.push(RecordWarning::UnknownGroup { unknown, taken });
    }
    for settings in &ranked {
        let fitting = distinct(settings.iter().filter(|setting| fits(setting.operations(), lattice)).copied());
        match fitting.as_slice() {
            [] => {}
            [setting] => return Ok(operators(setting.operations())),
            several => {
                let names: Vec<String> = several.iter().map(|setting| setting.name()).collect();
                return Err(format!(
                    "space group {} has several origins or settings, {}, and no symmetry operators are listed: list them",
                    group.text(),
                    names.join(" and ")
                ));
            }
        }
    }
    Err(format!("the cell does not have the symmetry of space group {}", group.text()))
}

/// The settings that symbol, number and code together allow; none if neither symbol nor number is known.
fn by_names(group: &GroupName) -> Result<Vec<Vec<&'static Setting>>, String> {
    let mut ranked = group.hermann_mauguin.map_or(Vec::new(), by_symbol);
    if let Some(number) = group.number.filter(|number| !all_of_number(number).is_empty()) {
        if ranked.is_empty() {
            ranked = vec![by_number(number)];
        } else if !keep(&mut ranked, |setting| Ok(setting.number) == number.parse()) {
            return Err(format!(
                "space group {} is not number {number}, and no symmetry operators are listed",
                group.text()
            ));
        }
    }
    if let Some(code) = group.code {
        // A code names one setting of all that a number has, not only of the standard one.
        let of_number = group.number.filter(|_| group.hermann_mauguin.is_none()).map(all_of_number);
        let mut coded = of_number.map_or_else(|| ranked.clone(), |settings| vec![settings]);
        if keep(&mut coded, |setting| setting.is_choice(code)) || keep(&mut coded, |setting| setting.has_choice(code)) {
            ranked = coded;
        }
    }
    Ok(ranked)
}

/// Keeps the settings that pass, unless none does: then false.
fn keep(ranked: &mut Vec<Vec<&'static Setting>>, passes: impl Fn(&Setting) -> bool) -> bool {
    let kept: Vec<Vec<&Setting>> = ranked
        .iter()
        .map(|settings| settings.iter().copied().filter(|setting| passes(setting)).collect::<Vec<_>>())
        .filter(|settings| !settings.is_empty())
        .collect();
    let any = !kept.is_empty();
    if any {
        *ranked = kept;
    }
    any
}

/// A Hall symbol tells everything; the other names must not contradict it.
fn by_hall_symbol(
    group: &GroupName,
    operations: &[Operation],
    ranked: &[Vec<&'static Setting>],
    lattice: &Lattice,
) -> Result<Vec<Operator>, String> {
    let hall = excerpt(group.hall.unwrap_or_default());
    // A number means all settings, a Hall symbol may mean one that no table has: then at least the order must agree.
    let exact = group.hermann_mauguin.is_some_and(|name| !by_symbol(name).is_empty()) && is_tabulated(operations);
    let agrees = |setting: &&Setting| {
        setting.operations().len() == operations.len() && (!exact || same(setting.operations(), operations))
    };
    if !ranked.is_empty() && !ranked.iter().flatten().any(agrees) {
        return Err(format!(
            "the Hall symbol {hall} stands for another setting or space group than {}, and no symmetry operators are listed",
            group.text()
        ));
    }
    if !fits(operations, lattice) {
        return Err(format!("the cell does not have the symmetry of space group {hall}"));
    }
    Ok(operators(operations))
}

fn is_tabulated(operations: &[Operation]) -> bool {
    tabulated().any(|setting| same(setting.operations(), operations))
}

fn operators(operations: &[Operation]) -> Vec<Operator> {
    operations.iter().map(Operator::from).collect()
}

fn fits(operations: &[Operation], lattice: &Lattice) -> bool {
    // Rotations come again with every centring translation.
    let first = |(index, operation): &(usize, &Operation)| {
        operations[..*index].iter().all(|earlier| earlier.rotation != operation.rotation)
    };
    let rotations = operations.iter().enumerate().filter(first);
    !operations.is_empty() && rotations.map(|(_, operation)| Operator::from(operation)).all(|op| op.preserves(lattice))
}

/// The settings that differ in their operations: 68 has names that do not.
fn distinct(settings: impl Iterator<Item = &'static Setting>) -> Vec<&'static Setting> {
    let mut distinct: Vec<&'static Setting> = Vec::new();
    for setting in settings {
        if !distinct.iter().any(|known| same(known.operations(), setting.operations())) {
            distinct.push(setting);
        }
    }
    distinct
}

/// Whether two groups have the same operations.
fn same(one: &[Operation], other: &[Operation]) -> bool {
    one.len() == other.len() && one.iter().all(|operation| other.contains(operation))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUBE: Lattice = Lattice([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]);

    fn order(group: GroupName, lattice: &Lattice) -> Result<usize, String> {
        operators_of_group(&group, lattice, &mut Vec::new()).map(|operators| operators.len())
    }

    fn named(name: &str, lattice: &Lattice) -> Result<usize, String> {
        order(GroupName { hermann_mauguin: Some(name), ..GroupName::default() }, lattice)
    }

    fn numbered(number: &str, lattice: &Lattice) -> Result<usize, String> {
        order(GroupName { number: Some(number), ..GroupName::default() }, lattice)
    }

    #[test]
    fn groups_have_their_order() {
        // Orders of the general positions, International Tables A.
        for (name, expected) in [
            ("F m -3 m", 192),
            ("Fm-3m", 192),
            ("F m 3 m", 192),
            ("F 4/m -3 2/m", 192),
            ("F 4/m 3 2/m", 192),
            ("P m 3", 24),
            ("I a 3 d", 96),
            ("P n m a", 8),
            ("P b n m", 8),
            ("P 1 21/c 1", 4),
            ("P2(1)/c", 4),
            ("P 21/n", 4),
            ("P 2_1/a", 4),
            ("C 2/c", 8),
            ("B 2/m", 8),
            ("C m c a", 16),
            ("A c a m", 16),
            ("A b a m", 16),
            ("C m m b", 16),
            ("C m m e", 16),
            ("F d -3 m :1", 192),
            ("F d -3 m Z", 192),
            ("Fd-3mS", 192),
            ("P m m n (origin choice 2)", 8),
            ("P 21/m 21/m 2/n (origin choice 1)", 8),
            ("P 2(1)2(1)2(1)", 4),
            ("P 21212(a)", 4),
            ("P 21 3", 12),
            ("P 1", 1),
            ("A 1", 2),
        ] {
            assert_eq!(named(name, &CUBE), Ok(expected), "{name}");
        }
        assert_eq!(numbered("225", &CUBE), Ok(192));
        let hall = GroupName { hall: Some("-F 4vw 2vw 3"), ..GroupName::default() };
        assert_eq!(order(hall, &CUBE), Ok(192));
    }

    #[test]
    fn the_cell_decides_between_axes() {
        let hexagonal = Lattice::from_parameters([5.0, 5.0, 13.0], [90.0, 90.0, 120.0]).unwrap();
        let rhombohedral = Lattice::from_parameters([6.0, 6.0, 6.0], [50.0; 3]).unwrap();
        for (name, cell, expected) in [
            ("R -3 c", &hexagonal, 36),
            ("R -3 c", &rhombohedral, 12),
            ("R-3cH", &hexagonal, 36),
            ("R -3 c H", &hexagonal, 36),
            ("H -3 c", &hexagonal, 36),
            ("R -3 c (hexagonal axes)", &hexagonal, 36),
            ("R -3 c R", &rhombohedral, 12),
            ("R -3 c :r", &rhombohedral, 12),
        ] {
            assert_eq!(named(name, cell), Ok(expected), "{name}");
        }
        assert_eq!(numbered("167", &hexagonal), Ok(36));
        assert_eq!(numbered("167", &rhombohedral), Ok(12));
        assert_eq!(
            named("R -3 c :R", &hexagonal).unwrap_err(),
            "the cell does not have the symmetry of space group \"R -3 c :R\""
        );
        // Short monoclinic symbols mean unique axis b where the cell allows it.
        let unique_c = Lattice::from_parameters([5.0, 6.0, 7.0], [90.0, 90.0, 100.0]).unwrap();
        let group = |name| GroupName { hermann_mauguin: Some(name), ..GroupName::default() };
        let of = |name, cell: &Lattice| operators_of_group(&group(name), cell, &mut Vec::new()).unwrap();
        let expected = |hall| operators(&hall::operations(hall).unwrap());
        assert_eq!(of("P 21/b", &unique_c), expected("-P 2bc"));
        assert_eq!(of("P 2/m", &unique_c), expected("-P 2"));
        assert_eq!(of("P 2/m", &CUBE), expected("-P 2y"));
    }

    #[test]
    fn one_known_name_is_enough() {
        let both = |name, hall, number| GroupName { hermann_mauguin: name, hall, number, code: None };
        for (group, expected) in [
            (both(Some("P m -3 m"), Some("-Q 4 2 3"), None), 48),
            (both(Some("Q m -3 m"), Some("-P 4 2 3"), None), 48),
            (both(Some("Q m -3 m"), None, Some("221")), 48),
            (both(Some("P m -3 m"), None, Some("0")), 48),
            (both(None, Some("?2"), Some("221")), 48),
            (both(Some("F d -3 m"), Some("-F 4vw 2vw 3"), None), 192),
            (both(Some("F d -3 m :2"), Some("-F 4vw 2vw 3 (x-1/8,y,z)"), None), 192),
        ] {
            assert_eq!(order(group, &CUBE), Ok(expected), "{group:?}");
        }
        let mut warnings = Vec::new();
        operators_of_group(&both(Some("Q m"), None, Some("221")), &CUBE, &mut warnings).unwrap();
        assert_eq!(warnings[0].to_string(), "the space group \"Q m\" is unknown: P m -3 m is taken");
        for (group, reason) in [
            (both(Some("P m -3 m"), None, Some("225")), "space group \"P m -3 m\" is not number 225"),
            (
                both(Some("P m -3 m"), Some("P 1"), None),
                "the Hall symbol \"P 1\" stands for another setting or space group",
            ),
            (
                both(Some("F d -3 m :1"), Some("-F 4vw 2vw 3"), None),
                "the Hall symbol \"-F 4vw 2vw 3\" stands for another",
            ),
        ] {
            assert!(order(group, &CUBE).unwrap_err().starts_with(reason), "{group:?}");
        }
    }

    #[test]
    fn a_code_names_the_setting() {
        let coded = |name, number, code| {
            let group = GroupName { hermann_mauguin: name, hall: None, number, code: Some(code) };
            operators_of_group(&group, &CUBE, &mut Vec::new())
        };
        let expected = |hall| Ok(operators(&hall::operations(hall).unwrap()));
        assert_eq!(coded(Some("F d -3 m"), Some("227"), "2"), expected("-F 4vw 2vw 3"));
        assert_eq!(coded(Some("F d -3 m"), None, "1"), expected("F 4d 2 3 -1d"));
        assert_eq!(coded(None, Some("14"), "c3"), expected("-P 2bc"));
        assert_eq!(coded(None, Some("62"), "cab"), expected("-P 2c 2ab"));
        assert_eq!(coded(None, Some("62"), "abc"), expected("-P 2ac 2n"));
        assert_eq!(coded(None, Some("50"), "2abc"), expected("-P 2ab 2b"));
    }

    #[test]
    fn guesses_are_refused() {
        for error in [named("F d -3 m", &CUBE), numbered("227", &CUBE)] {
            let error = error.unwrap_err();
            assert!(
                error.contains("F d -3 m :1 (Hall symbol F 4d 2 3 -1d) and F d -3 m :2 (Hall symbol -F 4vw 2vw 3)")
            );
        }
        assert!(numbered("231", &CUBE).unwrap_err().contains("unknown space group"));
        for unknown in ["Q m", "\u{e9}", "", "h", "z", "(", ":", " (origin choice 2)"] {
            assert!(named(unknown, &CUBE).unwrap_err().contains("unknown space group"), "{unknown:?}");
        }
        assert!(numbered("0", &CUBE).is_err() && numbered("x", &CUBE).is_err());
    }
}
