//! The format of a file, by its name.

use std::path::Path;

/// A text format of structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Crystallographic Information File, one structure per `data_` block.
    Cif,
    /// VASP 5 structure file, one structure.
    Poscar,
    /// Extended XYZ, one structure per frame.
    Extxyz,
    /// A table with a `cif` column, one structure per row.
    Csv,
    /// One JSON object `{id, lattice, species, frac_coords}` per line.
    JsonLines,
}

impl Format {
    /// The names that [`Format::of`] knows, for messages.
    pub const NAMES: &'static str =
        ".cif, .mcif, .csv, .jsonl, .extxyz (or .xyz), .vasp, .poscar, .contcar, POSCAR*, CONTCAR*, each also with .gz";

    /// The names that [`Format::named`] knows, for messages.
    pub const SHORT_NAMES: &'static str = "cif, csv, jsonl, extxyz and poscar";

    /// The format of a short name such as `extxyz`, which is also the end of its files' names.
    pub fn named(name: &str) -> Option<Self> {
        Self::of(Path::new(&format!("x.{name}"))).filter(|_| !name.contains('.'))
    }

    /// The format that a file's name stands for, case aside; the end `.gz` is looked through.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("cif" | "mcif") => Some(Self::Cif),
            Some("csv") => Some(Self::Csv),
            Some("jsonl" | "ndjson") => Some(Self::JsonLines),
            Some("extxyz" | "xyz") => Some(Self::Extxyz),
            Some("vasp" | "poscar" | "contcar") => Some(Self::Poscar),
            _ if name.starts_with("poscar") || name.starts_with("contcar") => Some(Self::Poscar),
            _ => None,
        }
    }
}

/// Whether a file's name says that it is compressed.
pub(super) fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// The file's name without directory, `.gz` and extension.
pub(super) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = if is_gzip(path) { &name[..name.len() - 3] } else { &name };
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    }
}

/// As [`stem`], where several files are read: a `POSCAR` is known by its folder.
pub(super) fn stem_among_others(path: &Path) -> String {
    let own = stem(path);
    let folder = path.parent().and_then(Path::file_name).filter(|_| matches!(own.as_str(), "POSCAR" | "CONTCAR"));
    folder.map_or(own, |folder| folder.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format() {
        for (name, format) in [
            ("a/b.cif", Some(Format::Cif)),
            ("b.CSV.gz", Some(Format::Csv)),
            ("x.y.jsonl", Some(Format::JsonLines)),
            ("x.extxyz.GZ", Some(Format::Extxyz)),
            ("POSCAR", Some(Format::Poscar)),
            ("POSCAR.mp-1", Some(Format::Poscar)),
            ("CONTCAR.gz", Some(Format::Poscar)),
            ("x.contcar", Some(Format::Poscar)),
            ("x.mcif", Some(Format::Cif)),
            ("poscar.cif", Some(Format::Cif)),
            ("x.pdb", None),
            ("cif", None),
            ("", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
        assert_eq!(stem(Path::new("/d/val.part.csv.gz")), "val.part");
        assert_eq!(stem(Path::new("POSCAR")), "POSCAR");
        assert_eq!(stem_among_others(Path::new("runs/mp-1/CONTCAR.gz")), "mp-1");
        assert_eq!(stem_among_others(Path::new("runs/a.cif")), "a");
        assert_eq!(Format::named("poscar"), Some(Format::Poscar));
        assert_eq!((Format::named("pdb"), Format::named("a.cif"), Format::named("gz")), (None, None, None));
    }
}
