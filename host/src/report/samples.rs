//! The crystals of some steps, counted while they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::crystal::{Element, Record, Tokens, read_structures, tokens_from_json, wyckoff_position};
use crate::metrics::{Histogram, Proportion};
use crate::record::step_of_samples;

/// Energy above hull below which a crystal is stable, eV/atom: as in `stable_fraction` of the metrics.
pub const STABLE: f64 = 0.1;
/// Points that are kept of the plane of two properties.
const MOST_POINTS: usize = 1000;

/// Rows, and those of them that are stable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stable {
    /// Stable rows.
    pub count: usize,
    /// All rows.
    pub of: usize,
}

/// The crystals of some steps, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// The steps.
    pub steps: BTreeSet<u64>,
    /// All rows, whether or not they became crystals, and whether or not their samples were kept.
    pub rows: usize,
    /// Rows whose samples were not kept: nothing else is known of them.
    pub missing: usize,
    /// Rows that became crystals.
    pub crystals: usize,
    /// Crystals that contain an element.
    pub elements: BTreeMap<Element, usize>,
    /// Energy above hull of each row that was kept, eV/atom.
    pub energies: Vec<Option<f64>>,
    /// By space group, of the rows whose draw has one.
    pub groups: BTreeMap<u8, Stable>,
    /// By the number of free coordinates of the crystal, of the same rows.
    pub freedom: BTreeMap<usize, Stable>,
    /// Two properties of each crystal that has both; every so many of them where there are many.
    pub properties: Vec<[f64; 2]>,
}

impl Stable {
    /// As a share with its interval.
    pub fn share(self) -> Proportion {
        Proportion::new(self.count, self.of)
    }

    fn add(&mut self, stable: bool) {
        self.of += 1;
        self.count += usize::from(stable);
    }
}

/// A file of samples, and its step.
pub type SampleFile = (u64, PathBuf);

/// The files of samples of a run up to a step, in the order of their steps.
pub fn sample_files(run: &Path, last: u64, notes: &mut Vec<String>) -> Vec<SampleFile> {
    let folder = run.join("samples");
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            notes.push(format!("{}: {error}", folder.display()));
            return Vec::new();
        }
    };
    let step = |path: &Path| step_of_samples(path.file_name()?.to_str()?);
    let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let files: BTreeMap<u64, PathBuf> = files.filter_map(|path| Some((step(&path)?, path))).collect();
    files.into_iter().filter(|(step, _)| *step <= last).collect()
}

/// Counts the rows of files, each of which is read once and never held whole.
pub fn tally(
    files: Vec<SampleFile>,
    hull: Option<&str>,
    properties: Option<&[String; 2]>,
    notes: &mut Vec<String>,
) -> Tally {
    let mut tally = Tally::default();
    for (step, path) in files {
        let records = match read_structures(&path) {
            Ok(records) => records,
            Err(error) => {
                notes.push(error.to_string());
                continue;
            }
        };
        tally.steps.insert(step);
        let mut unreadable = 0;
        for record in records {
            match record {
                // A line that is cut short has no keys.
                Ok(record) if record.extra.is_empty() => unreadable += 1,
                Ok(record) => tally.add(&record, hull, properties),
                Err(error) => notes.push(error.to_string()),
            }
        }
        if unreadable > 0 {
            notes.push(format!("{}: {unreadable} of its lines cannot be read", path.display()));
        }
    }
    tally.thin_out();
    tally
}

impl Tally {
    fn add(&mut self, record: &Record, hull: Option<&str>, properties: Option<&[String; 2]>) {
        self.rows += 1;
        let tokens = record.extra.get("tokens").and_then(tokens_from_json);
        let energy = hull.and_then(|term| number(&record.extra, term));
        let stable = energy.is_some_and(|energy| energy < STABLE);
        self.energies.push(energy);
        if let Some(tokens) = &tokens {
            self.groups.entry(tokens.group.number()).or_default().add(stable);
            self.freedom.entry(free_coordinates(tokens)).or_default().add(stable);
        }
        if !record.extra.contains_key("refused") {
            self.crystals += 1;
            let drawn = tokens.iter().flat_map(|tokens| tokens.sites.iter().map(|site| site.species));
            let elements: BTreeSet<Element> = match &record.structure {
                Ok(structure) => structure.species.iter().copied().collect(),
                Err(_) => drawn.collect(),
            };
            elements.into_iter().for_each(|element| *self.elements.entry(element).or_default() += 1);
        }
        let pair = properties.and_then(|[x, y]| Some([number(&record.extra, x)?, number(&record.extra, y)?]));
        self.properties.extend(pair);
    }

    fn thin_out(&mut self) {
        let every = self.properties.len().div_ceil(MOST_POINTS).max(1);
        self.properties = self.properties.iter().copied().step_by(every).collect();
    }

    /// Counts the rows that the metrics have beyond those that were kept.
    pub fn complete(&mut self, sampled: usize) {
        self.missing = sampled.saturating_sub(self.rows);
        self.rows += self.missing;
    }

    /// The distribution of the energies above hull over all rows.
    pub fn histogram(&self) -> Histogram {
        let histogram = Histogram::new(self.energies.iter().copied());
        Histogram { without: histogram.without + self.missing, ..histogram }
    }

    /// Stable rows, of all.
    pub fn stable(&self) -> Stable {
        let count = self.energies.iter().flatten().filter(|energy| **energy < STABLE).count();
        Stable { count, of: self.rows }
    }

    /// The rows of both.
    pub fn and(mut self, other: &Self) -> Self {
        self.steps.extend(&other.steps);
        self.rows = self.rows.saturating_add(other.rows);
        self.missing = self.missing.saturating_add(other.missing);
        self.crystals += other.crystals;
        other.elements.iter().for_each(|(element, count)| *self.elements.entry(*element).or_default() += count);
        self.energies.extend(&other.energies);
        add_all(&mut self.groups, &other.groups);
        add_all(&mut self.freedom, &other.freedom);
        self.properties.extend(&other.properties);
        self
    }

    /// Crystals that contain an element, of all.
    pub fn with_element(&self, element: Element) -> Proportion {
        Proportion::new(self.elements.get(&element).copied().unwrap_or(0), self.crystals)
    }
}

fn add_all<K: Ord + Copy>(all: &mut BTreeMap<K, Stable>, more: &BTreeMap<K, Stable>) {
    for (key, stable) in more {
        let sum = all.entry(*key).or_default();
        sum.count += stable.count;
        sum.of += stable.of;
    }
}

fn number(row: &Map<String, Value>, key: &str) -> Option<f64> {
    row.get(key)?.as_f64().filter(|x| x.is_finite())
}

/// Coordinates that the symmetry leaves free, over all sites; those of the lattice are not among them.
fn free_coordinates(tokens: &Tokens) -> usize {
    let free = tokens.sites.iter().filter_map(|site| wyckoff_position(tokens.group, site.wyckoff));
    free.map(|position| position.free_coordinates()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = concat!(
        r#"{"id":"a","tokens":{"spacegroup":221,"lattice":[3,3,3,1.5,1.5,1.5],"sites":[{"w":1,"a":"Cs","xyz":[0,0,0]},{"w":2,"a":"Cl","xyz":[0.5,0.5,0.5]}]},"lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Cs","Cl"],"frac_coords":[[0,0,0],[0.5,0.5,0.5]],"e":0.05,"gap":2.0,"objective":1}"#,
        "\n",
        r#"{"id":"b","tokens":{"spacegroup":1,"lattice":[3,3,3,1.5,1.5,1.5],"sites":[{"w":1,"a":"Cs","xyz":[0,0,0]}]},"refused":"too small","e":{"failed":"no structure"},"gap":{"failed":"no structure"},"objective":-1}"#,
        "\n",
        r#"{"id":"c","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Na"],"frac_coords":[[0,0,0]],"e":0.1,"gap":NaN,"objective":0}"#,
        "\n{\"id\":\"d\",\"lat"
    );

    #[test]
    fn rows_are_counted_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("samples")).unwrap();
        std::fs::write(folder.path().join("samples/step-1.jsonl"), ROWS).unwrap();
        std::fs::write(folder.path().join("samples/step-9.jsonl"), ROWS).unwrap();
        std::fs::write(folder.path().join("samples/notes.txt"), "x").unwrap();
        let mut notes = Vec::new();
        let files = sample_files(folder.path(), 8, &mut notes);
        assert_eq!(files.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1], "step 9 is behind the last line");
        let found = tally(files, Some("e"), Some(&["gap".into(), "e".into()]), &mut notes);
        assert_eq!((found.rows, found.crystals, found.steps.len()), (3, 2, 1));
        assert_eq!(found.energies, [Some(0.05), None, Some(0.1)]);
        let one = |count| Stable { count, of: 1 };
        assert_eq!(found.groups, BTreeMap::from([(221, one(1)), (1, one(0))]));
        assert_eq!(found.freedom, BTreeMap::from([(0, one(1)), (3, one(0))]));
        let elements: Vec<(&str, usize)> = found.elements.iter().map(|(e, n)| (e.symbol(), *n)).collect();
        assert_eq!(elements, [("Na", 1), ("Cl", 1), ("Cs", 1)]);
        assert_eq!(found.properties, [[2.0, 0.05]]);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].ends_with("step-1.jsonl: 1 of its lines cannot be read"), "{notes:?}");
        let both = found.clone().and(&found);
        assert_eq!((both.rows, both.groups[&221]), (6, Stable { count: 2, of: 2 }));
        // Of ten rows that were sampled, three were kept.
        let mut all = found;
        all.complete(10);
        assert_eq!((all.rows, all.missing, all.stable()), (10, 7, Stable { count: 1, of: 10 }));
        assert_eq!((all.histogram().without, all.histogram().counts.iter().sum::<usize>()), (8, 2));
        all.complete(10);
        assert_eq!((all.rows, all.missing), (10, 0), "nothing more");
    }

    #[test]
    fn a_compressed_file_that_ends_early_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples/step-1.jsonl.gz");
        std::fs::create_dir(folder.path().join("samples")).unwrap();
        let mut file =
            flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
        std::io::Write::write_all(&mut file, ROWS.as_bytes()).unwrap();
        file.finish().unwrap();
        let mut notes = Vec::new();
        let read = |notes: &mut Vec<String>| tally(sample_files(folder.path(), 1, notes), Some("e"), None, notes);
        assert_eq!(read(&mut notes).rows, 3);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 12]).unwrap();
        notes.clear();
        read(&mut notes);
        assert!(notes.iter().any(|note| note.contains("step-1.jsonl.gz")), "{notes:?}");
    }
}
