//! The settings of the space groups by their Hermann-Mauguin symbols: 530 of the International Tables, and others that
//! files use.

use super::hall;
use crate::crystal::SpaceGroup;
use crate::crystal::operation::Operation;
use moyo::data::{HallSymbolEntry, Setting as Convention, hall_symbol_entry};
use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

/// Settings beyond the 530 of the Tables (cctbx and CCP4 have them too): number, Hermann-Mauguin symbol, Hall symbol.
const FURTHER: [(u8, &str, &str); 33] = [
    (1, "A 1", "A 1"),
    (1, "B 1", "B 1"),
    (1, "C 1", "C 1"),
    (1, "F 1", "F 1"),
    (1, "I 1", "I 1"),
    (2, "A -1", "-A 1"),
    (2, "B -1", "-B 1"),
    (2, "C -1", "-C 1"),
    (2, "F -1", "-F 1"),
    (2, "I -1", "-I 1"),
    (3, "B 1 2 1", "B 2y"),
    (3, "C 1 1 2", "C 2"),
    (4, "B 1 21 1", "B 2yb"),
    (4, "C 1 1 21", "C 2c"),
    (5, "I 1 21 1", "I 2yb"),
    (5, "C 1 21 1", "C 2yb"),
    (5, "F 1 2 1", "F 2y"),
    (8, "F 1 m 1", "F -2y"),
    (9, "F 1 d 1", "F -2yuw"),
    (12, "F 1 2/m 1", "-F 2y"),
    (18, "P 21 21 2a", "P 2ab 2a"),
    (20, "C 2 2 21a", "C 2ac 2"),
    (21, "C 2 2 2a", "C 2ab 2b"),
    (22, "F 2 2 2a", "F 2 2c"),
    (23, "I 2 2 2a", "I 2ab 2bc"),
    (89, "C 4 2 2", "C 4 2"),
    (90, "C 4 2 21", "C 4a 2"),
    (94, "P 42 21 2a", "P 4bc 2a"),
    (97, "F 4 2 2", "F 4 2"),
    (115, "C -4 2 m", "C -4 2"),
    (117, "C -4 2 b", "C -4 2ya"),
    (139, "F 4/m m m", "-F 4 2"),
    (197, "I 2 3a", "I 2ab 2bc 3"),
];

/// Choices that no Hermann-Mauguin symbol tells.
const UNTOLD: [&str; 4] = ["1", "2", "H", "R"];

/// A space group in one setting.
#[derive(Debug)]
pub(super) struct Setting {
    pub number: u8,
    /// Hermann-Mauguin symbol, short.
    symbol: &'static str,
    /// Origin, axes or cell where the symbol does not tell: `1`, `2cab`, `H`, `-b1`.
    choice: &'static str,
    hall: &'static str,
    operations: OnceLock<Vec<Operation>>,
}

impl Setting {
    /// Its symmetry operations, centring included.
    pub fn operations(&self) -> &[Operation] {
        self.operations.get_or_init(|| hall::operations(self.hall).unwrap_or_default())
    }

    /// A name that no other setting has.
    pub fn name(&self) -> String {
        let symbol = self.symbol.replace('_', "");
        let hall = self.hall_symbol();
        if self.choice.is_empty() { symbol } else { format!("{symbol} :{} (Hall symbol {hall})", self.choice) }
    }

    /// The Hermann-Mauguin symbol, with origin or axes where it does not tell: `F d -3 m :2`.
    pub fn hermann_mauguin(&self) -> String {
        let symbol = self.symbol.replace('_', "");
        self.code().map_or_else(|| symbol.clone(), |code| format!("{symbol} :{code}"))
    }

    /// The Hall symbol.
    pub fn hall_symbol(&self) -> String {
        self.hall.replace('=', "\"")
    }

    /// The origin (1, 2) or the axes (H, R) where the Hermann-Mauguin symbol does not tell.
    pub fn code(&self) -> Option<&'static str> {
        Some(self.choice).filter(|choice| UNTOLD.contains(choice))
    }

    /// Whether an origin (1, 2), axes (H, R, abc) or a cell (b1) that is asked for is its own, on whatever axes.
    pub fn has_choice(&self, choice: &str) -> bool {
        self.is_choice(choice) || (matches!(choice, "1" | "2") && self.choice.starts_with(choice))
    }

    /// Whether its choice of origin, axes and cell is this one; `abc` may be left out.
    pub fn is_choice(&self, choice: &str) -> bool {
        self.choice.eq_ignore_ascii_case(&choice.replace("abc", ""))
    }
}

/// All settings, and where each name is among them.
struct Table {
    settings: Vec<Setting>,
    by_name: HashMap<String, Vec<usize>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { settings: Vec::new(), by_name: HashMap::new() };
    for entry in (1..=530).filter_map(hall_symbol_entry) {
        let Ok(number) = u8::try_from(entry.number) else { continue };
        let names = names(&entry, number);
        // Full monoclinic symbols tell the axis and the cell, short ones do not.
        let symbol = if (3..=15).contains(&number) { entry.hm_full } else { entry.hm_short };
        table.add((number, symbol, entry.setting, entry.hall_symbol), &names);
    }
    for (number, symbol, hall) in FURTHER {
        table.add((number, symbol, "", hall), &[plain(symbol)]);
    }
    table
});

impl Table {
    fn add(
        &mut self,
        (number, symbol, choice, hall): (u8, &'static str, &'static str, &'static str),
        names: &[String],
    ) {
        for name in names {
            let known = self.by_name.entry(name.clone()).or_default();
            if known.last() != Some(&self.settings.len()) {
                known.push(self.settings.len());
            }
        }
        self.settings.push(Setting { number, symbol, choice, hall, operations: OnceLock::new() });
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Setting> {
        self.by_name.get(name).into_iter().flatten().map(|index| &self.settings[*index])
    }
}

/// All names of a setting, plain.
fn names(entry: &HallSymbolEntry, number: u8) -> Vec<String> {
    let full = plain(entry.hm_full);
    if number <= 15 {
        return vec![full];
    }
    let mut names = vec![full, plain(entry.hm_short)];
    if matches!(number, 200..=206 | 221..=230) {
        // Until 1983 without the bar.
        names.extend(names.clone().iter().map(|name| name.replace("-3", "3")));
    }
    if matches!(number, 39 | 41 | 64 | 67 | 68) {
        let double = names.clone();
        for glide in glides(entry.hm_short, entry.setting, number) {
            names.extend(double.iter().map(|name| name.replace('e', glide)));
        }
        // The new symbols of 67 and 68 stand for two settings; the Tables list them with the first of each pair.
        if matches!(number, 67 | 68) && !["", "cab", "bca"].contains(&axes(entry.setting)) {
            names.retain(|name| !name.contains('e'));
        }
    }
    names
}

/// The glide planes that a double one, `e` since 1992, was named by before.
fn glides(symbol: &str, setting: &str, number: u8) -> Vec<&'static str> {
    if matches!(number, 67 | 68) {
        // The image of a under the exchange of axes.
        return vec![match axes(setting) {
            "ba-c" | "cab" => "b",
            "-cba" | "bca" => "c",
            _ => "a",
        }];
    }
    match &symbol[..1] {
        "A" => vec!["b", "c"],
        "B" => vec!["a", "c"],
        _ => vec!["a", "b"],
    }
}

/// A setting without the number of its origin.
fn axes(setting: &str) -> &str {
    setting.trim_start_matches(['1', '2'])
}

/// The settings that a Hermann-Mauguin symbol may mean, the likelier ones in front: each inner list goes before the next.
/// A symbol may say more: `F d -3 m :2`, `R -3 m H`, `P n n n S`, `P m m n (origin choice 2)`.
pub(super) fn by_symbol(text: &str) -> Vec<Vec<&'static Setting>> {
    let (symbol, choice) = symbol_and_choice(text);
    let found = spellings(&symbol, choice.as_deref());
    if !found.is_empty() || choice.is_some() {
        return found;
    }
    // The choice as a letter behind the symbol; S and Z are the first and second origin in ICSD.
    for (letter, choice) in [('s', "1"), ('z', "2"), ('h', "H"), ('r', "R")] {
        if let Some(symbol) = symbol.strip_suffix(letter) {
            return spellings(symbol, Some(choice));
        }
    }
    // The Protein Data Bank's names of rhombohedral groups on hexagonal axes.
    symbol.strip_prefix('h').map_or(Vec::new(), |rest| spellings(&format!("r{rest}"), Some("H")))
}

/// Whether a Hermann-Mauguin symbol stands for any setting.
pub(super) fn is_known(text: &str) -> bool {
    !by_symbol(text).is_empty()
}

fn spellings(symbol: &str, choice: Option<&str>) -> Vec<Vec<&'static Setting>> {
    let (lattice, rest) = symbol.split_at(symbol.chars().next().map_or(0, char::len_utf8));
    // A short monoclinic symbol means unique axis b, if it can.
    let spellings =
        [symbol.to_owned(), format!("{lattice}1{rest}1"), format!("{lattice}11{rest}"), format!("{lattice}{rest}11")];
    let settings = |name: &String| -> Vec<&'static Setting> {
        TABLE.named(name).filter(|setting| choice.is_none_or(|choice| setting.has_choice(choice))).collect()
    };
    spellings.iter().map(settings).filter(|found| !found.is_empty()).collect()
}

/// Separates `P m m n :2` and `P m m n (origin choice 2)`; the symbol is returned plain.
fn symbol_and_choice(text: &str) -> (String, Option<String>) {
    if let Some((symbol, choice)) = text.split_once(':') {
        return (plain(symbol), Some(choice.trim().to_owned()));
    }
    let Some((symbol, note)) = text.split_once(" (") else { return (plain(text), None) };
    let note = note.to_ascii_lowercase();
    let choice = match () {
        () if note.contains("choice 1") => Some("1"),
        () if note.contains("choice 2") => Some("2"),
        () if note.contains("hexagonal") => Some("H"),
        () if note.contains("rhombohedral") => Some("R"),
        () if note.chars().any(|c| c.is_ascii_lowercase()) => None,
        () => return (plain(text), None),
    };
    (plain(symbol), choice.map(str::to_owned))
}

/// The settings that a number may mean: the standard one, and the other origin or axes where a number does not tell.
pub(super) fn by_number(text: &str) -> Vec<&'static Setting> {
    let Some(number) = text.parse::<u8>().ok().filter(|number| (1..=230).contains(number)) else { return Vec::new() };
    let standard = standard_hall_number(number);
    let may_be = |(index, setting): &(usize, &Setting)| {
        setting.number == number && (setting.code().is_some() || Some(index + 1) == standard)
    };
    TABLE.settings.iter().enumerate().filter(may_be).map(|(_, setting)| setting).collect()
}

/// The setting of [`SpaceGroup`]. `None` only if moyo's table were not that of the 230 groups.
pub(super) fn standard(group: SpaceGroup) -> Option<&'static Setting> {
    TABLE.settings.get(standard_hall_number(group.number())?.checked_sub(1)?)
}

/// Number of a space group's standard setting among the 530, from 1.
fn standard_hall_number(number: u8) -> Option<usize> {
    Convention::Standard.hall_number(number.into()).and_then(|hall| usize::try_from(hall).ok())
}

/// All settings of a number among those of the Tables.
pub(super) fn all_of_number(text: &str) -> Vec<&'static Setting> {
    let number = text.parse::<u8>().ok();
    tabulated().filter(|setting| Some(setting.number) == number).collect()
}

/// The 530 settings of the Tables.
pub(super) fn tabulated() -> impl Iterator<Item = &'static Setting> {
    TABLE.settings.iter().take(TABLE.settings.len() - FURTHER.len())
}

/// A symbol without what spellings differ in: spaces, case, and the marks of a screw axis (`2_1`, `2(1)`).
fn plain(symbol: &str) -> String {
    symbol.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '(' | ')')).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The sum of x^2 + 2 y^2 + 3 z^2 over the images of a point in the cell: no two settings of a group have the same.
    fn moment(operations: &[Operation]) -> f64 {
        let point = [0.1234, 0.0417, 0.2791];
        let image = |operation: &Operation, i: usize| {
            let sum: f64 = (0..3).map(|k| f64::from(operation.rotation[i][k]) * point[k]).sum();
            (sum + f64::from(operation.shift[i]) / 24.0).rem_euclid(1.0)
        };
        operations
            .iter()
            .flat_map(|op| [1.0, 2.0, 3.0].into_iter().enumerate().map(|(i, w)| w * image(op, i).powi(2)))
            .sum()
    }

    /// Of gemmi 0.7.5: number, extended Hermann-Mauguin symbol, Hall symbol, order and moment of its 564 settings.
    const GEMMI: &str = include_str!("settings.tsv");

    #[test]
    fn all_symbols_of_another_program_have_its_operations() {
        for row in GEMMI.lines().skip(1) {
            let [number, symbol, hall, order, expected] = row.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let (order, expected): (usize, f64) = (order.parse().unwrap(), expected.parse().unwrap());
            let agrees = |operations: &[Operation]| {
                operations.len() == order && (moment(operations) - expected).abs() < 2e-6 * order as f64
            };
            let found = &by_symbol(symbol)[0];
            assert!(found.iter().all(|setting| agrees(setting.operations())), "{symbol}: {found:?}");
            assert!(found.iter().all(|setting| setting.number.to_string() == number), "{symbol}: {found:?}");
            assert!(agrees(&hall::operations(hall).unwrap()), "{hall}");
        }
        assert_eq!(GEMMI.lines().count(), 1 + 564);
    }

    #[test]
    fn a_name_means_one_space_group() {
        for (name, indices) in &TABLE.by_name {
            let numbers: HashSet<u8> = indices.iter().map(|index| TABLE.settings[*index].number).collect();
            assert_eq!(numbers.len(), 1, "{name}");
        }
    }
}
