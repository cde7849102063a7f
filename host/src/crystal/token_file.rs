//! Token files: many crystals as tokens in one safetensors file.
//!
//! Of B crystals with N slots each: `G` i64 [B] space group; `L` f64 [B, 6] lattice as in [`Tokens`]; `XYZ` f64 [B, N, 3],
//! `A` and `W` i64 [B, N], element and Wyckoff index of each site, 0 in the empty slots behind the last site. Optional:
//! identifiers, as a JSON list under the metadata key `ids`. Other tensors are passed over.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Element, Site, SpaceGroup, SpaceGroupError, Tokens};
use crate::input;

/// Slots that a file may have in all, of 40 bytes each.
const MAX_SLOTS: usize = 200_000_000;

/// Metadata key of the identifiers.
const IDS: &str = "ids";

/// One crystal of a token file.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRecord {
    /// Its identifier; where the file holds none, the file's name and the number of the row from 1.
    pub id: String,
    /// The crystal. Whether its sites go together is for [`Tokens::check`] to say.
    pub tokens: Result<Tokens, TokenRowError>,
}

/// Why a row holds no crystal. Sites are counted from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TokenRowError {
    /// No such space group.
    #[error(transparent)]
    Group(#[from] SpaceGroupError),
    /// Not the number of an element.
    #[error("site {site}: {number} is not the atomic number of an element")]
    Element {
        /// Which site.
        site: usize,
        /// The number.
        number: i64,
    },
    /// Not an index that any Wyckoff position has.
    #[error("site {site}: the Wyckoff index {index} is not between 1 and 27")]
    Wyckoff {
        /// Which site.
        site: usize,
        /// The index.
        index: i64,
    },
    /// A site behind an empty slot.
    #[error("slot {slot} is filled, but an earlier slot is empty")]
    Gap {
        /// The filled slot, from 1.
        slot: usize,
    },
    /// NaN or infinity.
    #[error("a lattice parameter or a coordinate is not finite")]
    NotFinite,
}

/// Why a token file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not a safetensors file, or a truncated one; or more than one can hold.
    #[error("{}: not a complete safetensors file: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format's reason.
        source: safetensors::SafeTensorError,
    },
    /// A tensor that has to be there.
    #[error("{}: the tensor `{name}` is missing; a token file holds G, L, XYZ, A and W", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: &'static str,
    },
    /// A tensor of another type or shape.
    #[error("{}: the tensor `{name}` is {found}, not {expected}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: &'static str,
        /// Type and shape that it has.
        found: String,
        /// Type and shape that it should have.
        expected: String,
    },
    /// Identifiers that are no list of texts, one for each crystal.
    #[error("{}: the metadata key `ids` is not a list of {rows} texts", path.display())]
    Ids {
        /// The file.
        path: PathBuf,
        /// Number of crystals.
        rows: usize,
    },
    /// More slots than a file is written with.
    #[error("{rows} crystals of {slots} slots: a token file has at most {MAX_SLOTS} slots in all")]
    Large {
        /// Crystals.
        rows: usize,
        /// Slots of a row.
        slots: usize,
    },
    /// A crystal with more sites than there are slots.
    #[error("{id} has {sites} sites, more than the {slots} slots")]
    Slots {
        /// Its identifier.
        id: String,
        /// Its sites.
        sites: usize,
        /// Slots of a row.
        slots: usize,
    },
}

/// Reads a token file.
///
/// # Errors
/// [`TokenFileError`] when the file as a whole is unusable; what is wrong with single rows stands in the records.
pub fn read_tokens(path: &Path) -> Result<Vec<TokenRecord>, TokenFileError> {
    let bytes =
        input::read(path, input::MOST_DATA).map_err(|source| TokenFileError::Io { path: path.into(), source })?;
    let format = |source| TokenFileError::Format { path: path.into(), source };
    let file = SafeTensors::deserialize(&bytes).map_err(format)?;
    let find = |name| Columns::find(&file, name, path);
    let wyckoff = find("W")?;
    let (rows, slots) = match wyckoff.shape() {
        [rows, slots] => (*rows, *slots),
        _ => return Err(mismatch(path, "W", &wyckoff, "I64 [B, N]")),
    };
    let columns = Columns {
        group: integers(path, "G", &find("G")?, &[rows])?,
        lattice: reals(path, "L", &find("L")?, &[rows, 6])?,
        coords: reals(path, "XYZ", &find("XYZ")?, &[rows, slots, 3])?,
        atoms: integers(path, "A", &find("A")?, &[rows, slots])?,
        wyckoff: integers(path, "W", &wyckoff, &[rows, slots])?,
        slots,
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(format)?;
    let ids = ids(path, metadata.metadata().as_ref().and_then(|metadata| metadata.get(IDS)), rows)?;
    Ok(ids.into_iter().enumerate().map(|(row, id)| TokenRecord { id, tokens: columns.row(row) }).collect())
}

/// Encodes crystals with their identifiers as a token file of `slots` slots for each.
///
/// # Errors
/// [`TokenFileError::Slots`] for a crystal that does not fit; `path` is only named in errors.
pub fn encode_tokens(path: &Path, crystals: &[(String, Tokens)], slots: usize) -> Result<Vec<u8>, TokenFileError> {
    if let Some((id, tokens)) = crystals.iter().find(|(_, tokens)| tokens.sites.len() > slots) {
        return Err(TokenFileError::Slots { id: id.clone(), sites: tokens.sites.len(), slots });
    }
    let rows = crystals.len();
    if rows.checked_mul(slots).is_none_or(|filled| filled > MAX_SLOTS) {
        return Err(TokenFileError::Large { rows, slots });
    }
    let sites = || crystals.iter().map(|(_, tokens)| &tokens.sites);
    let padded = |of: fn(&Site) -> i64| {
        let pad = move |sites: &Vec<Site>| (0..slots).map(|i| sites.get(i).map_or(0, of)).collect::<Vec<_>>();
        sites().flat_map(pad).flat_map(i64::to_le_bytes).collect::<Vec<u8>>()
    };
    let coord =
        |sites: &Vec<Site>| (0..slots).flat_map(|i| sites.get(i).map_or([0.0; 3], |s| s.coord)).collect::<Vec<_>>();
    let tensors = [
        (
            "G",
            Dtype::I64,
            vec![rows],
            crystals.iter().flat_map(|(_, t)| i64::from(t.group.number()).to_le_bytes()).collect(),
        ),
        (
            "L",
            Dtype::F64,
            vec![rows, 6],
            crystals.iter().flat_map(|(_, t)| t.lattice).flat_map(f64::to_le_bytes).collect(),
        ),
        (
            "XYZ",
            Dtype::F64,
            vec![rows, slots, 3],
            sites().flat_map(coord).flat_map(f64::to_le_bytes).collect::<Vec<u8>>(),
        ),
        ("A", Dtype::I64, vec![rows, slots], padded(|site| site.species.number().into())),
        ("W", Dtype::I64, vec![rows, slots], padded(|site| site.wyckoff.into())),
    ];
    let ids: Vec<&String> = crystals.iter().map(|(id, _)| id).collect();
    let metadata = HashMap::from([(IDS.to_owned(), serde_json::json!(ids).to_string())]);
    let format = |source| TokenFileError::Format { path: path.into(), source };
    let views =
        tensors.iter().map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(format)?;
    safetensors::serialize(views, Some(metadata)).map_err(format)
}

/// The tensors, row-major, their sizes in agreement.
struct Columns {
    group: Vec<i64>,
    lattice: Vec<f64>,
    coords: Vec<f64>,
    atoms: Vec<i64>,
    wyckoff: Vec<i64>,
    slots: usize,
}

impl Columns {
    fn find<'a>(file: &SafeTensors<'a>, name: &'static str, path: &Path) -> Result<TensorView<'a>, TokenFileError> {
        file.tensor(name).map_err(|_| TokenFileError::Missing { path: path.into(), name })
    }

    fn row(&self, row: usize) -> Result<Tokens, TokenRowError> {
        let group = SpaceGroup::new(self.group[row])?;
        let mut lattice = [0.0; 6];
        lattice.copy_from_slice(&self.lattice[row * 6..][..6]);
        let slots = row * self.slots..(row + 1) * self.slots;
        let sites = self.wyckoff[slots.clone()].iter().take_while(|index| **index != 0).count();
        if let Some(filled) = self.wyckoff[slots.clone()][sites..].iter().position(|index| *index != 0) {
            return Err(TokenRowError::Gap { slot: sites + filled + 1 });
        }
        let sites: Vec<Site> =
            slots.take(sites).zip(1..).map(|(slot, number)| self.site(slot, number)).collect::<Result<_, _>>()?;
        let finite = |numbers: &[f64]| numbers.iter().all(|x| x.is_finite());
        if !(finite(&lattice) && sites.iter().all(|site| finite(&site.coord))) {
            return Err(TokenRowError::NotFinite);
        }
        Ok(Tokens { group, lattice, sites })
    }

    fn site(&self, slot: usize, number: usize) -> Result<Site, TokenRowError> {
        let (index, atom) = (self.wyckoff[slot], self.atoms[slot]);
        let wyckoff = u8::try_from(index).ok().filter(|index| (1..=27).contains(index));
        let species = u8::try_from(atom).ok().and_then(Element::from_number);
        let mut coord = [0.0; 3];
        coord.copy_from_slice(&self.coords[slot * 3..][..3]);
        Ok(Site {
            wyckoff: wyckoff.ok_or(TokenRowError::Wyckoff { site: number, index })?,
            species: species.ok_or(TokenRowError::Element { site: number, number: atom })?,
            coord,
        })
    }
}

fn integers(path: &Path, name: &'static str, view: &TensorView, shape: &[usize]) -> Result<Vec<i64>, TokenFileError> {
    Ok(words(path, name, view, Dtype::I64, shape)?.map(i64::from_le_bytes).collect())
}

fn reals(path: &Path, name: &'static str, view: &TensorView, shape: &[usize]) -> Result<Vec<f64>, TokenFileError> {
    Ok(words(path, name, view, Dtype::F64, shape)?.map(f64::from_le_bytes).collect())
}

/// The elements of a tensor of eight bytes each.
fn words<'a>(
    path: &Path,
    name: &'static str,
    view: &TensorView<'a>,
    dtype: Dtype,
    shape: &[usize],
) -> Result<impl Iterator<Item = [u8; 8]> + use<'a>, TokenFileError> {
    if view.dtype() != dtype || view.shape() != shape {
        return Err(mismatch(path, name, view, &format!("{dtype} {shape:?}")));
    }
    Ok(view.data().as_chunks().0.iter().copied())
}

fn mismatch(path: &Path, name: &'static str, view: &TensorView, expected: &str) -> TokenFileError {
    let found = format!("{} {:?}", view.dtype(), view.shape());
    TokenFileError::Tensor { path: path.into(), name, found, expected: expected.to_owned() }
}

fn ids(path: &Path, text: Option<&String>, rows: usize) -> Result<Vec<String>, TokenFileError> {
    let Some(text) = text else {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        return Ok((1..=rows).map(|row| format!("{stem}-{row}")).collect());
    };
    let ids: Option<Vec<String>> = serde_json::from_str(text).ok();
    ids.filter(|ids| ids.len() == rows).ok_or(TokenFileError::Ids { path: path.into(), rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn salt(sites: usize) -> Tokens {
        let site = |i: usize| Site {
            wyckoff: i as u8 + 1,
            species: Element::from_number(11 + i as u8).unwrap(),
            coord: [0.1 * i as f64, 0.25, 0.5],
        };
        let group = SpaceGroup::new(225).unwrap();
        Tokens { group, lattice: [2.82, 2.82, 2.82, 1.5, 1.5, 1.5], sites: (0..sites).map(site).collect() }
    }

    fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.safetensors");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn encoded(crystals: &[(String, Tokens)], slots: usize) -> Vec<u8> {
        encode_tokens(Path::new("x"), crystals, slots).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let crystals: Vec<_> = (0..4).map(|i| (format!("mp-\"{i}"), salt(i))).collect();
        let (_folder, path) = written(&encoded(&crystals, 3));
        let read = read_tokens(&path).unwrap();
        let expected: Vec<_> = crystals.into_iter().map(|(id, t)| TokenRecord { id, tokens: Ok(t) }).collect();
        assert_eq!(read, expected);
        let error = encode_tokens(&path, &[("a".into(), salt(4))], 3).unwrap_err();
        assert_eq!(error.to_string(), "a has 4 sites, more than the 3 slots");
        for slots in [99_999_999_999, usize::MAX] {
            let error = encode_tokens(&path, &[("a".into(), salt(4)), ("b".into(), salt(1))], slots).unwrap_err();
            assert!(error.to_string().starts_with("2 crystals of "), "{error}");
        }
    }

    /// A file of one crystal with two slots.
    fn one(group: i64, lattice: [f64; 6], atoms: [i64; 2], wyckoff: [i64; 2]) -> Vec<u8> {
        let integers = |numbers: &[i64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        let (g, a, w) = (integers(&[group]), integers(&atoms), integers(&wyckoff));
        let (l, x) = (lattice.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>(), vec![0; 48]);
        let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
        let tensors = [
            ("G", view(Dtype::I64, &[1], &g)),
            ("L", view(Dtype::F64, &[1, 6], &l)),
            ("XYZ", view(Dtype::F64, &[1, 2, 3], &x)),
            ("A", view(Dtype::I64, &[1, 2], &a)),
            ("W", view(Dtype::I64, &[1, 2], &w)),
        ];
        safetensors::serialize(tensors, None).unwrap()
    }

    #[test]
    fn bad_rows_say_why() {
        let cell = [1.0; 6];
        for (bytes, reason) in [
            (one(231, cell, [1, 0], [1, 0]), "there is no space group 231: the numbers are 1 to 230"),
            (one(1, cell, [119, 0], [1, 0]), "site 1: 119 is not the atomic number of an element"),
            (one(1, cell, [1, -1], [1, 1]), "site 2: -1 is not the atomic number of an element"),
            (one(1, cell, [1, 1], [28, 0]), "site 1: the Wyckoff index 28 is not between 1 and 27"),
            (one(1, cell, [1, 1], [0, 1]), "slot 2 is filled, but an earlier slot is empty"),
            (one(1, [f64::NAN; 6], [1, 0], [1, 0]), "a lattice parameter or a coordinate is not finite"),
        ] {
            let (_folder, path) = written(&bytes);
            let record = read_tokens(&path).unwrap().remove(0);
            assert_eq!((record.id.as_str(), record.tokens.unwrap_err().to_string().as_str()), ("some-1", reason));
        }
    }

    #[test]
    fn bad_files_are_refused() {
        let whole = encoded(&[("a".into(), salt(2))], 2);
        let (_folder, path) = written(&whole[..whole.len() - 1]);
        assert!(matches!(read_tokens(&path), Err(TokenFileError::Format { .. })));
        let (_folder, path) = written(
            &safetensors::serialize([("G", TensorView::new(Dtype::I64, vec![0], &[]).unwrap())], None).unwrap(),
        );
        let error = read_tokens(&path).unwrap_err().to_string();
        assert!(error.ends_with("the tensor `W` is missing; a token file holds G, L, XYZ, A and W"), "{error}");
        let narrow = encoded(&[("a".into(), salt(2))], 2);
        let text = String::from_utf8_lossy(&narrow).into_owned();
        let at = text.find("[1,2,3]").unwrap();
        let mut twisted = narrow.clone();
        twisted[at..at + 7].copy_from_slice(b"[1,3,2]");
        let (_folder, path) = written(&twisted);
        let error = read_tokens(&path).unwrap_err().to_string();
        assert!(error.ends_with("the tensor `XYZ` is F64 [1, 3, 2], not F64 [1, 2, 3]"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(at in 0usize..400, byte: u8, cut in 0usize..400) {
            let mut bytes = encoded(&[("a".into(), salt(2))], 2);
            let at = at % bytes.len();
            bytes[at] = byte;
            let (_folder, path) = written(&bytes[..bytes.len() - cut % bytes.len()]);
            let _ = read_tokens(&path);
            let (_folder, path) = written(&bytes);
            let _ = read_tokens(&path);
        }
    }
}
