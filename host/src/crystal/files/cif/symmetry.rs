//! Symmetry operators of a CIF: written out as `x,-y,z+1/2`, or named by a space group.

use super::super::super::Lattice;
use super::super::record::excerpt;
use moyo::data::{HallSymbolEntry, Setting, hall_symbol_entry, operations_from_number};

/// A symmetry operator on fractional coordinates, `rotation @ x + translation`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operator {
    pub rotation: [[f64; 3]; 3],
    pub translation: [f64; 3],
}

impl Operator {
    pub const IDENTITY: Self =
        Self { rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], translation: [0.0; 3] };

    /// Parses the notation `x,-y,z+1/2`; the rotation has determinant 1 or -1.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rows = text.split(',').map(affine_row);
        let [x, y, z] = [rows.next()??, rows.next()??, rows.next()??];
        let rotation = [x.0, y.0, z.0];
        let volume = Lattice(rotation).volume();
        (rows.next().is_none() && volume == 1.0).then_some(Self { rotation, translation: [x.1, y.1, z.1] })
    }

    pub fn apply(&self, frac: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|i| (0..3).map(|k| self.rotation[i][k] * frac[k]).sum::<f64>() + self.translation[i])
    }

    /// Whether it maps the lattice onto itself, each scalar product within a thousandth.
    fn preserves(&self, lattice: &Lattice) -> bool {
        let product = |u: [f64; 3], v: [f64; 3]| -> f64 { (0..3).map(|k| u[k] * v[k]).sum() };
        // Images of the lattice vectors: columns of the rotation are fractional vectors.
        let images: [[f64; 3]; 3] =
            std::array::from_fn(|j| lattice.cartesian(std::array::from_fn(|i| self.rotation[i][j])));
        (0..3).all(|i| {
            (0..3).all(|j| {
                let scale = product(lattice.0[i], lattice.0[i]).sqrt() * product(lattice.0[j], lattice.0[j]).sqrt();
                (product(images[i], images[j]) - product(lattice.0[i], lattice.0[j])).abs() <= 1e-3 * scale
            })
        })
    }
}

/// Coefficients of x, y, z and the constant of one part, such as `1/2-x+y`.
fn affine_row(text: &str) -> Option<([f64; 3], f64)> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    let (mut row, mut constant) = ([0.0; 3], 0.0);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let sign = if rest.starts_with('-') { -1.0 } else { 1.0 };
        rest = rest.strip_prefix(['+', '-']).or(Some(rest).filter(|_| rest.len() == text.len()))?;
        let length = rest.find(['+', '-']).unwrap_or(rest.len());
        match &rest[..length] {
            "x" => row[0] += sign,
            "y" => row[1] += sign,
            "z" => row[2] += sign,
            term => constant += sign * fraction(term)?,
        }
        rest = &rest[length..];
    }
    (!text.is_empty()).then_some((row, constant))
}

fn fraction(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let digits = |text: &str| {
        let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        text.parse::<f64>().ok().filter(|x| plain && x.is_finite())
    };
    Some(digits(numerator)? / digits(denominator)?).filter(|x| x.is_finite())
}

/// What a file says about its space group when it lists no operators.
pub(super) struct GroupName<'a> {
    pub hermann_mauguin: Option<&'a str>,
    pub hall: Option<&'a str>,
    pub number: Option<&'a str>,
}

/// The operators of a named group, in the one setting that the name and the cell allow.
///
/// # Errors
/// A sentence: the group is unknown, or the cell does not have its symmetry, or several settings remain.
pub(super) fn operators_of_group(group: &GroupName, lattice: &Lattice) -> Result<Vec<Operator>, String> {
    let (name, candidates) = match group {
        GroupName { hall: Some(hall), .. } => (*hall, settings(|entry| same(entry.hall_symbol, hall))),
        GroupName { hermann_mauguin: Some(name), .. } => (*name, by_hermann_mauguin(name)),
        GroupName { number: Some(number), .. } => (*number, by_number(number)),
        _ => return Ok(vec![Operator::IDENTITY]),
    };
    let name = excerpt(name);
    if candidates.is_empty() {
        return Err(format!("unknown space group {name}, and no symmetry operators are listed"));
    }
    let mut fitting = Vec::new();
    for setting in &candidates {
        let operators = operators(setting).map_err(|error| format!("space group {name}: {error}"))?;
        if operators.iter().all(|operator| operator.preserves(lattice)) {
            fitting.push(operators);
        }
    }
    match (fitting.pop(), fitting.is_empty()) {
        (Some(operators), true) => Ok(operators),
        (None, _) => Err(format!("the cell does not have the symmetry of space group {name}")),
        (Some(_), false) => Err(format!(
            "space group {name} has several origins or settings and no symmetry operators are listed: list them"
        )),
    }
}

fn operators(entry: &HallSymbolEntry) -> Result<Vec<Operator>, moyo::Error> {
    let operations = operations_from_number(entry.number, Setting::HallNumber(entry.hall_number), false)?;
    let convert = |operation: &moyo::base::Operation| Operator {
        rotation: operation.rotation_as_array().map(|row| row.map(f64::from)),
        translation: operation.translation_as_array(),
    };
    Ok(operations.iter().map(convert).collect())
}

/// Settings by symbol, full or short, with an optional choice: `F d -3 m :2`, `R -3 m :H`, `P 21/n`.
fn by_hermann_mauguin(name: &str) -> Vec<HallSymbolEntry> {
    let (symbol, choice) = match name.split_once(':') {
        Some((symbol, choice)) => (symbol, Some(choice.trim())),
        None => match name.trim().rsplit_once(' ') {
            // ICSD's letters for the first and second origin.
            Some((symbol, "S")) => (symbol, Some("1")),
            Some((symbol, "Z")) => (symbol, Some("2")),
            _ => (name, None),
        },
    };
    let symbol = plain(symbol);
    // A short monoclinic symbol means unique axis b.
    let along_b = format!("{}1{}1", symbol.get(..1).unwrap_or(""), symbol.get(1..).unwrap_or(""));
    let chosen = |entry: &HallSymbolEntry| choice.is_none_or(|choice| entry.setting.eq_ignore_ascii_case(choice));
    let monoclinic = settings(|entry| (3..=15).contains(&entry.number) && same(entry.hm_full, &along_b));
    if !monoclinic.is_empty() {
        return monoclinic;
    }
    settings(|entry| chosen(entry) && (same(entry.hm_full, &symbol) || same(entry.hm_short, &symbol)))
}

/// The standard setting of a number, and the other origin or axes where a number alone does not tell.
fn by_number(number: &str) -> Vec<HallSymbolEntry> {
    let Some(number) = number.parse().ok().filter(|number| (1..=230).contains(number)) else { return Vec::new() };
    let standard = Setting::Standard.hall_number(number);
    settings(|entry| {
        let undecided = ["1", "2", "H", "R"].contains(&entry.setting);
        entry.number == number && (undecided || Some(entry.hall_number) == standard)
    })
}

fn settings(wanted: impl Fn(&HallSymbolEntry) -> bool) -> Vec<HallSymbolEntry> {
    (1..=530).filter_map(hall_symbol_entry).filter(wanted).collect()
}

fn same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(symbol: &str) -> String {
    symbol.chars().filter(|c| !c.is_whitespace() && *c != '_').collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUBE: Lattice = Lattice([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]);

    fn named(name: &str, lattice: &Lattice) -> Result<usize, String> {
        let group = GroupName { hermann_mauguin: Some(name), hall: None, number: None };
        operators_of_group(&group, lattice).map(|operators| operators.len())
    }

    fn numbered(number: &str, lattice: &Lattice) -> Result<usize, String> {
        let group = GroupName { hermann_mauguin: None, hall: None, number: Some(number) };
        operators_of_group(&group, lattice).map(|operators| operators.len())
    }

    #[test]
    fn operators_are_parsed() {
        let at = [0.1, 0.2, 0.3];
        for (text, image) in [
            ("x,y,z", [0.1, 0.2, 0.3]),
            (" -X + 1/2 , y-x, Z+0.25", [0.4, 0.1, 0.55]),
            ("1/2-z,-1/3+x,+y", [0.2, 0.1 - 1.0 / 3.0, 0.2]),
        ] {
            let found = Operator::parse(text).unwrap().apply(at);
            assert!(found.iter().zip(image).all(|(a, b)| (a - b).abs() < 1e-12), "{text}: {found:?}");
        }
        for text in
            ["", "x,y", "x,y,z,x", "x,y,w", "x,y,y", "x,y,2z", "x,y,z+1/0", "x,y,", "x,y,zx", "x,y,z+", "x,y,z+inf"]
        {
            assert_eq!(Operator::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn groups_have_their_order() {
        // Orders of the general positions, International Tables A.
        assert_eq!(named("F m -3 m", &CUBE), Ok(192));
        assert_eq!(named("Fm-3m", &CUBE), Ok(192));
        assert_eq!(named("P n m a", &CUBE), Ok(8));
        assert_eq!(named("P b n m", &CUBE), Ok(8));
        assert_eq!(named("P 1 21/c 1", &CUBE), Ok(4));
        assert_eq!(named("P 21/n", &CUBE), Ok(4));
        assert_eq!(named("C 2/c", &CUBE), Ok(8));
        assert_eq!(named("F d -3 m :1", &CUBE), Ok(192));
        assert_eq!(named("F d -3 m Z", &CUBE), Ok(192));
        assert_eq!(named("P 1", &CUBE), Ok(1));
        assert_eq!(numbered("225", &CUBE), Ok(192));
        let hall = GroupName { hermann_mauguin: None, hall: Some("-F 4vw 2vw 3"), number: None };
        assert_eq!(operators_of_group(&hall, &CUBE).unwrap().len(), 192);
    }

    #[test]
    fn the_cell_decides_between_rhombohedral_axes() {
        let hexagonal = Lattice::from_parameters([5.0, 5.0, 13.0], [90.0, 90.0, 120.0]).unwrap();
        let rhombohedral = Lattice::from_parameters([6.0, 6.0, 6.0], [50.0; 3]).unwrap();
        assert_eq!(named("R -3 c", &hexagonal), Ok(36));
        assert_eq!(named("R -3 c", &rhombohedral), Ok(12));
        assert_eq!(numbered("167", &hexagonal), Ok(36));
        assert_eq!(
            named("R -3 c :R", &hexagonal).unwrap_err(),
            "the cell does not have the symmetry of space group \"R -3 c :R\""
        );
    }

    #[test]
    fn guesses_are_refused() {
        for error in [named("F d -3 m", &CUBE), numbered("227", &CUBE)] {
            assert!(error.unwrap_err().contains("several origins or settings"));
        }
        assert!(numbered("231", &CUBE).unwrap_err().contains("unknown space group"));
        assert!(numbered("0", &CUBE).is_err() && numbered("x", &CUBE).is_err() && named("Q m", &CUBE).is_err());
        assert!(named("\u{e9}", &CUBE).is_err());
    }
}
