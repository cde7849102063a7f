//! Parameters out of the reference's checkpoints: pickles of `{"params": {module: {name: array}}, "opt_state": ...}`.
//!
//! Nothing in the file runs. Arrays are those of numpy or of jax: float32, little-endian, row-major. A file that names classes or
//! functions of other packages is refused, whether it needs them or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;

use super::hyper::Hyperparameters;
use super::parameters::{ParameterError, Parameters, array_from_bytes};
use super::pickle::{Id, Node, Pickle, PickleError};
use crate::hint::Hint;
use crate::input;

/// Largest checkpoint that is read, bytes. The published models' have 58 MB, two thirds of it the optimiser's.
const MAX_BYTES: u64 = 4 << 30;

/// Packages whose names occur in checkpoints: arrays, and the states of the optimisers.
const PACKAGES: [&str; 8] = ["numpy", "jax", "jaxlib", "ml_dtypes", "optax", "chex", "haiku", "collections"];

/// Why a checkpoint cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file beyond the limit.
    #[error("{}: {bytes} bytes are more than any checkpoint has", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Truncated, damaged, or no pickle.
    #[error("{}: not a checkpoint that can be read: {source}", file.display())]
    Pickle {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: PickleError,
    },
    /// A class or function that no checkpoint needs; it was not called.
    #[error("{}: refused: the file wants Python to use `{module}.{name}`, which no checkpoint needs", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// Its module.
        module: String,
        /// Its name.
        name: String,
    },
    /// Another structure than a checkpoint's.
    #[error("{}: {place}: {reason}", file.display())]
    Layout {
        /// The file.
        file: PathBuf,
        /// The entry of the checkpoint.
        place: String,
        /// What was expected or found there.
        reason: String,
    },
    /// An array whose columns, not rows, follow each other.
    #[error("{}: {place}: is stored column by column (Fortran order)", file.display())]
    Order {
        /// The file.
        file: PathBuf,
        /// The entry of the checkpoint.
        place: String,
    },
    /// Tensors that are not the parameters of this model.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
}

impl Hint for ImportError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Order { .. } => vec!["save the arrays in C order, by numpy.ascontiguousarray".to_owned()],
            Self::Parameters(ParameterError::ElementType { .. }) => {
                vec!["save the arrays as little-endian float32, by array.astype(\"<f4\")".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// Reads the parameters of a checkpoint and checks them against the hyper-parameters ([`Hyperparameters::paper`] for the
/// published models). The optimiser's state is left behind.
///
/// # Errors
/// Any [`ImportError`].
pub fn import_checkpoint(path: &Path, hyper: &Hyperparameters) -> Result<Parameters, ImportError> {
    let io = |source| ImportError::Io { file: path.into(), source };
    let bytes = std::fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_BYTES {
        return Err(ImportError::TooLarge { file: path.into(), bytes });
    }
    let bytes = input::read(path, input::MOST_DATA).map_err(io)?;
    let pickle = Pickle::read(&bytes).map_err(|source| ImportError::Pickle { file: path.into(), source })?;
    refuse_foreign_names(&pickle, path)?;
    let tensors = Reader { pickle: &pickle, path }.tensors()?;
    Ok(Parameters::assemble(tensors, hyper, path)?)
}

fn refuse_foreign_names(pickle: &Pickle<'_>, path: &Path) -> Result<(), ImportError> {
    for node in pickle.nodes() {
        let Node::Global { module, name } = node else { continue };
        let package = module.split('.').next().unwrap_or_default();
        if !PACKAGES.contains(&package) {
            return Err(ImportError::Foreign { file: path.into(), module: (*module).into(), name: (*name).into() });
        }
    }
    Ok(())
}

/// Finds tensors in a pickle; `place` names the entry at hand in errors.
struct Reader<'a> {
    pickle: &'a Pickle<'a>,
    path: &'a Path,
}

/// An array as numpy pickles it.
struct Array<'a> {
    shape: Id,
    dtype: Id,
    row_major: bool,
    data: &'a [u8],
}

impl<'a> Reader<'a> {
    fn tensors(&self) -> Result<BTreeMap<String, ArrayD<f32>>, ImportError> {
        let top = self.entries(self.pickle.root(), "the checkpoint")?;
        let Some((_, params)) = top.into_iter().find(|(key, _)| *key == "params") else {
            return Err(self.refuse("the checkpoint", "has no entry `params`"));
        };
        let mut tensors = BTreeMap::new();
        for (module, names) in self.entries(params, "params")? {
            for (name, array) in self.entries(names, &format!("params[{module:?}]"))? {
                let name = format!("{module}/{name}");
                let tensor = self.tensor(array, &name)?;
                if tensors.insert(name.clone(), tensor).is_some() {
                    return Err(self.refuse(&name, "occurs twice"));
                }
            }
        }
        Ok(tensors)
    }

    fn refuse(&self, place: &str, reason: impl Into<String>) -> ImportError {
        ImportError::Layout { file: self.path.into(), place: place.into(), reason: reason.into() }
    }

    /// The entries of a dict with text keys.
    fn entries(&self, node: &'a Node<'a>, place: &str) -> Result<Vec<(&'a str, &'a Node<'a>)>, ImportError> {
        let Node::Dict(entries) = node else { return Err(self.refuse(place, "is not a dict")) };
        let named = |(key, value): &(Id, Id)| match self.pickle.node(*key) {
            Node::Text(key) => Ok((*key, self.pickle.node(*value))),
            _ => Err(self.refuse(place, "has a key that is not a text")),
        };
        entries.iter().map(named).collect()
    }

    fn tensor(&self, node: &'a Node<'a>, place: &str) -> Result<ArrayD<f32>, ImportError> {
        let array = self.array(node).ok_or_else(|| self.refuse(place, "is no numpy or jax array"))?;
        let dtype = self.dtype(array.dtype).ok_or_else(|| self.refuse(place, "has an unknown element type"))?;
        if dtype != ("f4", "<") {
            let found = type_name(dtype);
            return Err(ParameterError::ElementType { file: self.path.into(), name: place.into(), found }.into());
        }
        let shape =
            self.shape(array.shape).ok_or_else(|| self.refuse(place, "has a shape that is not a tuple of sizes"))?;
        // In up to one dimension of more than one element both orders are the same bytes.
        if !array.row_major && shape.iter().filter(|extent| **extent != 1).count() > 1 {
            return Err(ImportError::Order { file: self.path.into(), place: place.into() });
        }
        let count = shape.iter().try_fold(4usize, |product, extent| product.checked_mul(*extent));
        let tensor = array_from_bytes(&shape, array.data).filter(|_| count == Some(array.data.len()));
        let wrong = || self.refuse(place, format!("has shape {shape:?} but {} bytes of data", array.data.len()));
        tensor.ok_or_else(wrong)
    }

    /// The callable's module and name, its arguments and its state.
    fn call(&self, node: &'a Node<'a>) -> Option<(&'a str, &'a str, &'a [Id], Option<Id>)> {
        let Node::Call { callable, arguments, state } = node else { return None };
        let Node::Global { module, name } = self.pickle.node(*callable) else { return None };
        Some((module, name, self.tuple(*arguments)?, *state))
    }

    fn tuple(&self, id: Id) -> Option<&'a [Id]> {
        if let Node::Tuple(items) = self.pickle.node(id) { Some(items) } else { None }
    }

    /// numpy: `_reconstruct` with state (version, shape, dtype, Fortran order, bytes), or in protocol 5
    /// `_frombuffer(bytes, dtype, shape, order)`. jax: `_reconstruct_array(_reconstruct, arguments, state, ...)` around the former.
    fn array(&self, node: &'a Node<'a>) -> Option<Array<'a>> {
        let (module, name, arguments, state) = self.call(node)?;
        match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => self.array_state(state?),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => self.buffer(arguments),
            ("jax._src.array", "_reconstruct_array") => {
                let [function, _, state, ..] = arguments else { return None };
                let Node::Global { name: "_reconstruct", .. } = self.pickle.node(*function) else { return None };
                self.array_state(*state)
            }
            _ => None,
        }
    }

    fn array_state(&self, state: Id) -> Option<Array<'a>> {
        let [_version, shape, dtype, fortran, data] = self.tuple(state)? else { return None };
        let (Node::Bool(fortran), Node::Bytes(data)) = (self.pickle.node(*fortran), self.pickle.node(*data)) else {
            return None;
        };
        Some(Array { shape: *shape, dtype: *dtype, row_major: !fortran, data })
    }

    fn buffer(&self, arguments: &[Id]) -> Option<Array<'a>> {
        let [data, dtype, shape, order] = arguments else { return None };
        let (Node::Bytes(data), Node::Text(order)) = (self.pickle.node(*data), self.pickle.node(*order)) else {
            return None;
        };
        Some(Array { shape: *shape, dtype: *dtype, row_major: *order == "C", data })
    }

    /// Type and byte order: `numpy.dtype("f4", False, True)` with state (3, "<", ...).
    fn dtype(&self, id: Id) -> Option<(&'a str, &'a str)> {
        let ("numpy", "dtype", [code, ..], Some(state)) = self.call(self.pickle.node(id))? else { return None };
        let order = self.tuple(state)?.get(1)?;
        match (self.pickle.node(*code), self.pickle.node(*order)) {
            (Node::Text(code), Node::Text(order)) => Some((code, order)),
            _ => None,
        }
    }

    fn shape(&self, id: Id) -> Option<Vec<usize>> {
        let size =
            |id: &Id| if let Node::Int(size) = self.pickle.node(*id) { usize::try_from(*size).ok() } else { None };
        self.tuple(id)?.iter().map(size).collect()
    }
}

/// The name of an element type of numpy, from its code and byte order.
fn type_name((code, order): (&str, &str)) -> String {
    let name = match code {
        "f2" => "float16",
        "f4" => "float32",
        "f8" => "float64",
        "i1" => "int8",
        "i2" => "int16",
        "i4" => "int32",
        "i8" => "int64",
        "u1" => "uint8",
        "b1" => "bool",
        "c8" => "complex64",
        other => return format!("numpy's type `{order}{other}`"),
    };
    if order == ">" { format!("big-endian {name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `generate_checkpoints.py` beside the golden files has it.
    fn micro() -> Hyperparameters {
        Hyperparameters {
            Nf: 2,
            Kx: 2,
            Kl: 1,
            n_max: 4,
            h0_size: 4,
            num_layers: 2,
            num_heads: 2,
            key_size: 2,
            model_size: 4,
            embed_size: 1,
            ..Hyperparameters::paper()
        }
    }

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/checkpoints").join(name)
    }

    /// Value i of the t-th tensor by name is t + i / 4096.
    fn assert_counting(parameters: &Parameters) {
        let mut tensors: Vec<_> = parameters.iter().collect();
        tensors.sort_by_key(|(name, _)| *name);
        assert_eq!(tensors.len(), 53);
        for (t, (name, tensor)) in tensors.into_iter().enumerate() {
            for (i, value) in tensor.iter().enumerate() {
                assert_eq!(*value, t as f32 + i as f32 / 4096.0, "{name} {i}");
            }
        }
    }

    fn import(bytes: &[u8]) -> Result<Parameters, ImportError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        import_checkpoint(file.path(), &micro())
    }

    fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    }

    #[test]
    fn checkpoints_of_jax_and_numpy_are_read() {
        for name in ["jax_adam.pkl", "numpy_protocol5.pkl"] {
            assert_counting(&import_checkpoint(&golden(name), &micro()).unwrap());
        }
    }

    #[test]
    fn arrays_in_other_layouts_are_refused() {
        let good = std::fs::read(golden("numpy_protocol5.pkl")).unwrap();
        let refusal = |from: &[u8], to: &[u8]| import(&replace(&good, from, to)).unwrap_err().to_string();
        assert!(refusal(b"\x8c\x02f4", b"\x8c\x02f8").contains("holds float64, but parameters are float32"));
        assert!(refusal(b"\x8c\x01<", b"\x8c\x01>").contains("holds big-endian float32, but"));
        assert!(refusal(b"\x8c\x02f4", b"\x8c\x02V2").contains("holds numpy's type `<V2`, but"));
        let fortran = import(&replace(&good, b"\x8c\x01C\x94", b"\x8c\x01F\x94")).unwrap_err();
        assert!(fortran.to_string().ends_with("is stored column by column (Fortran order)"), "{fortran}");
        assert_eq!(fortran.hints(), ["save the arrays in C order, by numpy.ascontiguousarray"]);
        assert!(refusal(b"\x8c\x06params", b"\x8c\x06weight").contains("has no entry `params`"));
        assert!(
            refusal(b"\x8c\x05scale", b"\x8c\x05scala").contains("tensor `layer_norm/scale` of shape [4] is missing")
        );
        assert!(refusal(b"_frombuffer", b"_fromnumber").contains("is no numpy or jax array"));
        let nan = replace(&good, &(1.0f32 + 1.0 / 4096.0).to_le_bytes(), &f32::NAN.to_le_bytes());
        assert!(import(&nan).unwrap_err().to_string().contains("has NaN at index 1"));
    }

    #[test]
    fn a_checkpoint_of_another_size_is_refused_with_both_shapes() {
        let error = import_checkpoint(&golden("jax_adam.pkl"), &Hyperparameters::paper()).unwrap_err().to_string();
        assert!(error.contains("jax_adam.pkl: tensor `~/g_embeddings` has shape [230, 1], but"), "{error}");
        assert!(error.ends_with("the hyper-parameters ask for [230, 32]"), "{error}");
    }

    #[test]
    fn truncated_and_foreign_files_are_refused() {
        let good = std::fs::read(golden("jax_adam.pkl")).unwrap();
        for length in [0, 1, 100, good.len() / 2, good.len() - 1] {
            assert!(matches!(import(&good[..length]), Err(ImportError::Pickle { .. })), "{length}");
        }
        assert!(matches!(import(b"\x80\x04N."), Err(ImportError::Layout { .. })));
        assert!(import_checkpoint(Path::new("no/such.pkl"), &micro()).unwrap_err().to_string().contains("no/such.pkl"));
        assert!(matches!(import_checkpoint(&std::env::temp_dir(), &micro()), Err(ImportError::Io { .. })));
    }

    #[test]
    fn no_code_of_a_pickle_runs() {
        let folder = tempfile::tempdir().unwrap();
        let witness = folder.path().join("ran");
        let command = format!("touch {}", witness.display());
        let call =
            [b"cposix\nsystem\n".as_slice(), b"\x8c", &[command.len() as u8], command.as_bytes(), b"\x85R"].concat();
        let alone = [b"\x80\x04", call.as_slice(), b"."].concat();
        assert_eq!(
            import(&alone).unwrap_err().to_string().split(": refused: ").nth(1).unwrap(),
            "the file wants Python to use `posix.system`, which no checkpoint needs"
        );
        // Beside parameters that are fine: the state of an optimiser may not bring code along either.
        let good = std::fs::read(golden("numpy_protocol5.pkl")).unwrap();
        let end = good.strip_suffix(b"Nu.").unwrap();
        let beside = [end, call.as_slice(), b"u."].concat();
        assert!(matches!(import(&beside), Err(ImportError::Foreign { .. })));
        assert!(!witness.exists());
    }
}
