//! POSCAR and CONTCAR of VASP (VASP wiki, "POSCAR"): one structure. What follows the positions is not read.
//! Files of VASP 4 have no line of elements: these are taken from behind the positions, else from the comment.

use super::super::{Element, Lattice, Structure};
use super::record::{MAX_ATOMS, RawRecord, RowError, checked, excerpt, number};
use super::source::Source;
use super::species;
use std::io::{self, Write};

/// The one row of a file.
pub(super) fn rows(mut source: Source) -> impl Iterator<Item = io::Result<RawRecord>> + Send {
    std::iter::once_with(move || {
        let mut text = Vec::new();
        while source.read_line(&mut text)? {}
        let structure = parse(&String::from_utf8_lossy(&text));
        Ok(RawRecord { id: None, line: 1, structure, extra: serde_json::Map::new(), warnings: Vec::new() })
    })
}

fn parse(text: &str) -> Result<Structure, RowError> {
    let mut lines = Lines { lines: text.lines(), line: 0 };
    let comment = lines.next("comment")?;
    let scale = lines.next("scale factor")?;
    let scale = lines.numbers(scale, "scale factor")?;
    let mut vector = || {
        let line = lines.next("lattice vectors")?;
        lines.triple(line)
    };
    let (lattice, scale) = scaled(Lattice([vector()?, vector()?, vector()?]), &scale)?;
    let symbols = without_comment(lines.next("element symbols")?);
    let is_vasp_4 = symbols.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let elements = match is_vasp_4 {
        true => None,
        false => Some(symbols.split_whitespace().map(element).collect::<Result<Vec<_>, _>>()?),
    };
    let counts = if elements.is_some() { without_comment(lines.next("numbers of atoms")?) } else { symbols };
    let counts = lines.counts(counts, elements.as_ref().map(Vec::len))?;
    let atoms: usize = counts.iter().sum();
    let cartesian = lines.is_cartesian()?;
    let (mut frac, mut trailing) = (Vec::with_capacity(atoms), Vec::new());
    for _ in 0..atoms {
        let line = lines.next("positions")?;
        let r = lines.triple(line)?;
        frac.push(if cartesian { lattice.fractional(std::array::from_fn(|k| r[k] * scale[k])) } else { r });
        trailing.extend(trailing_element(line));
    }
    let species = match elements.or_else(|| commented(comment, counts.len())) {
        _ if is_vasp_4 && trailing.len() == atoms => trailing,
        Some(elements) => {
            elements.iter().zip(counts).flat_map(|(element, count)| std::iter::repeat_n(*element, count)).collect()
        }
        None => {
            let what = "numbers of atoms where VASP 5 has element symbols, and neither the positions nor the comment name them";
            return Err(RowError::syntax(6, what));
        }
    };
    checked(lattice, species, frac)
}

/// A line without what follows `!` or `#`.
fn without_comment(line: &str) -> &str {
    line.split(['!', '#']).next().unwrap_or_default()
}

/// The element behind a position: `0 0 0 Na`, or behind the flags of selective dynamics.
fn trailing_element(line: &str) -> Option<Element> {
    let mut words = line.split_whitespace().skip(3).skip_while(|word| matches!(*word, "T" | "F"));
    words.next().and_then(|word| element(word).ok())
}

/// The elements of a comment that names as many as there are numbers of atoms, and nothing else.
fn commented(comment: &str, count: usize) -> Option<Vec<Element>> {
    let elements: Option<Vec<Element>> = comment.split_whitespace().map(|word| element(word).ok()).collect();
    elements.filter(|elements| elements.len() == count)
}

/// The lattice times its scale (one factor, one per Cartesian axis, or minus the volume), and the factors.
fn scaled(lattice: Lattice, scale: &[f64]) -> Result<(Lattice, [f64; 3]), RowError> {
    let factors = match scale {
        [s] if *s > 0.0 => [*s; 3],
        [s] if *s < 0.0 => [(-s / lattice.volume()).cbrt(); 3],
        [x, y, z] if *x > 0.0 && *y > 0.0 && *z > 0.0 => [*x, *y, *z],
        _ => return Err(RowError::syntax(2, "the scale factor is neither one number nor three positive ones")),
    };
    Ok((Lattice(lattice.0.map(|v| std::array::from_fn(|k| v[k] * factors[k]))), factors))
}

/// The element of `Fe`, or of a potential's name such as `Fe_pv` or `Fe/1a2b3c`.
fn element(text: &str) -> Result<Element, RowError> {
    species::from_symbol(text.split(['_', '/']).next().unwrap_or_default())
}

/// The lines of a file, counted.
struct Lines<'a> {
    lines: std::str::Lines<'a>,
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self, what: &str) -> Result<&'a str, RowError> {
        let line = self.lines.next();
        self.line += 1;
        line.ok_or_else(|| RowError::syntax(self.line, format!("the file ends where {what} should be")))
    }

    /// The numbers at the start of a line; what follows them is a comment.
    fn numbers(&self, line: &str, what: &str) -> Result<Vec<f64>, RowError> {
        let numbers: Vec<f64> = line.split_whitespace().map_while(number).collect();
        if numbers.is_empty() {
            return Err(RowError::syntax(self.line, format!("no {what} in {}", excerpt(line))));
        }
        Ok(numbers)
    }

    fn triple(&self, line: &str) -> Result<[f64; 3], RowError> {
        let numbers: Vec<f64> = line.split_whitespace().take(3).map_while(number).collect();
        let error = |_| RowError::syntax(self.line, format!("{} does not begin with three numbers", excerpt(line)));
        <[f64; 3]>::try_from(numbers).map_err(error)
    }

    /// The numbers of atoms, as many as elements.
    fn counts(&self, line: &str, elements: Option<usize>) -> Result<Vec<usize>, RowError> {
        let counts: Vec<usize> = line.split_whitespace().map_while(|text| text.parse().ok()).collect();
        if elements.is_some_and(|elements| counts.len() != elements) || counts.is_empty() {
            let what =
                format!("{} element symbols but {} numbers of atoms", elements.unwrap_or_default(), counts.len());
            return Err(RowError::syntax(self.line, what));
        }
        let total = counts.iter().try_fold(0usize, |total, count| total.checked_add(*count));
        if total.is_none_or(|total| total > MAX_ATOMS) {
            return Err(RowError::TooManyAtoms);
        }
        Ok(counts)
    }

    /// Whether the line says so, after one for selective dynamics. As in VASP every other word means direct.
    fn is_cartesian(&mut self) -> Result<bool, RowError> {
        let mut kind = self.next("coordinate kind")?.trim_start();
        if kind.starts_with(['S', 's']) {
            kind = self.next("coordinate kind")?.trim_start();
        }
        if kind.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
            let what =
                format!("{} where a word says whether coordinates are direct or Cartesian", excerpt(kind.trim_end()));
            return Err(RowError::syntax(self.line, what));
        }
        Ok(kind.starts_with(['C', 'c', 'K', 'k']))
    }
}

/// Writes a structure, its atoms in their order, numbers exactly.
pub(super) fn write(out: &mut dyn Write, id: &str, structure: &Structure) -> io::Result<()> {
    writeln!(out, "{}\n1.0", id.replace(['\n', '\r'], " "))?;
    for [x, y, z] in structure.lattice.0 {
        writeln!(out, "  {x} {y} {z}")?;
    }
    let runs: Vec<&[Element]> = structure.species.chunk_by(|a, b| a == b).collect();
    let symbols: Vec<&str> = runs.iter().map(|run| run[0].symbol()).collect();
    let counts: Vec<String> = runs.iter().map(|run| run.len().to_string()).collect();
    writeln!(out, "{}\n{}\nDirect", symbols.join(" "), counts.join(" "))?;
    for [x, y, z] in &structure.frac {
        writeln!(out, "  {x} {y} {z}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROCK_SALT: &str =
        "NaCl primitive\n5.64\n 0 .5 .5\n .5 0 .5\n .5 .5 0\nNa_pv Cl\n1 1\nDirect\n 0 0 0\n .5 .5 .5 Cl\n";

    fn close(one: &Structure, other: &Structure) -> bool {
        let numbers = |s: &Structure| s.lattice.0.into_iter().chain(s.frac.clone()).flatten().collect::<Vec<_>>();
        one.species == other.species && numbers(one).iter().zip(numbers(other)).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    #[test]
    fn the_dialects_agree() {
        let expected = parse(ROCK_SALT).unwrap();
        assert_eq!(expected.lattice.0[0], [0.0, 2.82, 2.82]);
        let volume = 5.64f64.powi(3) / 4.0;
        for text in [
            ROCK_SALT.replacen("5.64", &format!("-{volume:.15}"), 1),
            ROCK_SALT.replacen("5.64", "5.64 5.64 5.64", 1),
            ROCK_SALT.replace("Direct", "Selective dynamics\nDirect").replace(" 0 0 0\n", " 0 0 0 T F T\n"),
            ROCK_SALT.replace("Direct", "Cartesian"),
            ROCK_SALT.replace('\n', "\r\n"),
            ROCK_SALT.replace("Direct", "Fractional"),
            ROCK_SALT.replace("Direct", "whatever"),
            ROCK_SALT.replace("Direct", ""),
            ROCK_SALT.replace("Na_pv Cl", "Na Cl ! elements").replace("1 1", "1 1 # of each"),
            // VASP 4: elements behind the positions, or in the comment.
            ROCK_SALT.replace("Na_pv Cl\n", "").replace(" 0 0 0\n", " 0 0 0 Na\n"),
            ROCK_SALT.replace("Na_pv Cl\n", "").replace("NaCl primitive", "Na Cl"),
            format!("{ROCK_SALT}\n  0.0 0.0 0.1\n"),
        ] {
            assert!(close(&parse(&text).unwrap(), &expected), "{text}");
        }
    }

    #[test]
    fn broken_files_name_the_line() {
        for (text, reason) in [
            (
                ROCK_SALT.replace("Na_pv Cl\n", ""),
                "line 6: numbers of atoms where VASP 5 has element symbols, and neither the positions nor the comment name them",
            ),
            (ROCK_SALT.replace("1 1", "1"), "line 7: 2 element symbols but 1 numbers of atoms"),
            (ROCK_SALT.replace("1 1", "1 4000000000"), "more than 10000 atoms"),
            (ROCK_SALT.replace("1 1", "1 2"), "line 11: the file ends where positions should be"),
            (ROCK_SALT.replace("1 1", "0 0"), "the structure has no atoms"),
            (
                ROCK_SALT.replace("Direct\n", ""),
                "line 8: \"0 0 0\" where a word says whether coordinates are direct or Cartesian",
            ),
            (ROCK_SALT.replace("1 1", "18446744073709551615 1"), "more than 10000 atoms"),
            (ROCK_SALT.replace("Na_pv", "Nn"), "unknown element \"Nn\""),
            (ROCK_SALT.replacen(".5 .5 0", ".5 .5", 1), "line 5: \" .5 .5\" does not begin with three numbers"),
            (
                ROCK_SALT.replacen("5.64", "0", 1),
                "line 2: the scale factor is neither one number nor three positive ones",
            ),
            (
                ROCK_SALT.replacen(" .5 .5 0", " .5 .5 1", 1).replacen("5.64", "nan", 1),
                "line 2: no scale factor in \"nan\"",
            ),
            (ROCK_SALT.replacen(".5 .5 .5", "1 1 1", 1), "atoms Na1 and Cl2 overlap: 0.0000 A apart"),
            (ROCK_SALT[..29].into(), "line 4: the file ends where lattice vectors should be"),
        ] {
            assert_eq!(parse(&text).unwrap_err().to_string(), reason, "{text}");
        }
    }
}
