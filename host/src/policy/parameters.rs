//! The policy's parameters: names, shapes, initial values, and their file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::ArrayD;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

use super::hyper::{Hyperparameters, SPACE_GROUPS, WIDENING};
use super::on_device::OnDevice;
use super::random::initialisation_stream;
use crate::atomic::write_atomically;
use crate::input;
use crate::runtime::{self, Device, OrtTensor};

/// Standard deviation of initial weights and embeddings, before the cut.
const INITIAL_SCALE: f64 = 0.01;

/// Name and shape of one parameter, and what it starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Module and name in the reference's spelling, such as `multi_head_attention_3/query/w`.
    pub name: String,
    /// Extents; weights are (in, out).
    pub shape: Vec<usize>,
    initial: Initial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Initial {
    /// 0.01 times a standard normal cut at +-2.
    TruncatedNormal,
    Zero,
    One,
}

/// Parameters as named float32 tensors in the order of [`parameter_specs`]; gradients and optimiser moments have the same form.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    names: Vec<String>,
    tensors: Vec<ArrayD<f32>>,
    on_device: OnDevice,
}

/// Why tensors are not the parameters of a network. Shapes are written as lists of extents.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// The file cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Truncated or damaged, or not a safetensors file at all.
    #[error("{}: not a valid safetensors file: {source}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// The parser's reason.
        source: SafeTensorError,
    },
    /// A tensor that the hyper-parameters ask for is not there.
    #[error("{}: tensor `{name}` of shape {expected:?} is missing", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its shape by the hyper-parameters.
        expected: Vec<usize>,
    },
    /// A tensor that the hyper-parameters do not know.
    #[error("{}: tensor `{name}` of shape {found:?} is not part of this model", file.display())]
    Unexpected {
        /// The file.
        file: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error("{}: tensor `{name}` has shape {found:?}, but the hyper-parameters ask for {expected:?}", file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape by the hyper-parameters.
        expected: Vec<usize>,
    },
    /// A tensor of another element type.
    #[error("{}: tensor `{name}` holds {found}, but parameters are float32", file.display())]
    ElementType {
        /// The file.
        file: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Its element type in the file.
        found: String,
    },
    /// A NaN or infinite value.
    #[error("{}: tensor `{name}` has {value} at index {index}", file.display())]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// Name of the tensor.
        name: String,
        /// The value.
        value: f32,
        /// Its place in row-major order.
        index: usize,
    },
}

/// All parameters in a fixed order: the embeddings of space group, Wyckoff letter and element; the network (or table) for the
/// first letter; the input layers of the tokens W, A, X, Y, Z; per layer its norm, attention (query, key, value, output), norm
/// and feed-forward pair; the final norm; the output layer. Within a module: w before b, scale before offset.
///
/// The reference numbers modules of one kind through, the first without a number, so without the first-letter network
/// (`h0_size` = 0) every later `linear` moves down by two.
pub fn parameter_specs(hyper: &Hyperparameters) -> Vec<ParameterSpec> {
    let (embed, model) = (hyper.embed_size, hyper.model_size);
    let heads = hyper.num_heads * hyper.key_size;
    let mut list = SpecList::default();
    list.weight("~/g_embeddings", vec![SPACE_GROUPS, embed]);
    list.weight("~/w_embeddings", vec![hyper.wyck_types, embed]);
    list.weight("~/a_embeddings", vec![hyper.atom_types, embed]);
    if hyper.h0_size == 0 {
        list.weight("~/w_params", vec![SPACE_GROUPS, hyper.wyck_types]);
    } else {
        list.linear(embed, hyper.h0_size);
        list.linear(hyper.h0_size, hyper.wyck_types);
    }
    list.linear(2 * embed + 1, model);
    list.linear(2 * embed, model);
    for _axis in 0..3 {
        list.linear(embed + 2 * hyper.Nf, model);
    }
    for layer in 0..hyper.num_layers {
        list.norm(model);
        let attention = numbered("multi_head_attention", layer);
        for part in ["query", "key", "value"] {
            list.named_linear(&format!("{attention}/{part}"), model, heads);
        }
        list.named_linear(&format!("{attention}/linear"), heads, model);
        list.norm(model);
        list.linear(model, WIDENING * model);
        list.linear(WIDENING * model, model);
    }
    list.norm(model);
    list.linear(model, hyper.output_size());
    list.specs
}

/// Specifications under construction, with the running numbers of the two kinds of numbered module.
#[derive(Default)]
struct SpecList {
    specs: Vec<ParameterSpec>,
    linears: usize,
    norms: usize,
}

impl SpecList {
    fn push(&mut self, name: String, shape: Vec<usize>, initial: Initial) {
        self.specs.push(ParameterSpec { name, shape, initial });
    }

    fn weight(&mut self, name: &str, shape: Vec<usize>) {
        self.push(name.into(), shape, Initial::TruncatedNormal);
    }

    fn named_linear(&mut self, module: &str, inputs: usize, outputs: usize) {
        self.push(format!("{module}/w"), vec![inputs, outputs], Initial::TruncatedNormal);
        self.push(format!("{module}/b"), vec![outputs], Initial::Zero);
    }

    fn linear(&mut self, inputs: usize, outputs: usize) {
        self.named_linear(&numbered("linear", self.linears), inputs, outputs);
        self.linears += 1;
    }

    fn norm(&mut self, width: usize) {
        let module = numbered("layer_norm", self.norms);
        self.push(format!("{module}/scale"), vec![width], Initial::One);
        self.push(format!("{module}/offset"), vec![width], Initial::Zero);
        self.norms += 1;
    }
}

fn numbered(module: &str, index: usize) -> String {
    if index == 0 { module.into() } else { format!("{module}_{index}") }
}

impl Parameters {
    /// Fresh parameters. Every tensor draws from a stream of its own, so that one tensor's size does not change another.
    pub fn initialise(hyper: &Hyperparameters, seed: u64) -> Self {
        let fresh = |(index, spec): (usize, ParameterSpec)| {
            let shape = ndarray::IxDyn(&spec.shape);
            let mut stream = initialisation_stream(seed, index as u64);
            let tensor = match spec.initial {
                Initial::Zero => ArrayD::zeros(shape),
                Initial::One => ArrayD::ones(shape),
                Initial::TruncatedNormal => {
                    ArrayD::from_shape_simple_fn(shape, || (INITIAL_SCALE * stream.truncated_normal(2.0)) as f32)
                }
            };
            (spec.name, tensor)
        };
        let (names, tensors) = parameter_specs(hyper).into_iter().enumerate().map(fresh).unzip();
        Self { names, tensors, on_device: OnDevice::default() }
    }

    /// Orders tensors by [`parameter_specs`] and checks them; `file` is named in errors.
    ///
    /// # Errors
    /// The first tensor that is missing, unexpected, of another shape, or not finite.
    pub fn assemble(
        mut found: BTreeMap<String, ArrayD<f32>>,
        hyper: &Hyperparameters,
        file: &Path,
    ) -> Result<Self, ParameterError> {
        let specs = parameter_specs(hyper);
        let mut tensors = Vec::with_capacity(specs.len());
        for ParameterSpec { name, shape: expected, .. } in &specs {
            let (file, name) = (file.to_path_buf(), name.clone());
            let Some(tensor) = found.remove(&name) else {
                return Err(ParameterError::Missing { file, name, expected: expected.clone() });
            };
            if tensor.shape() != expected {
                let (found, expected) = (tensor.shape().to_vec(), expected.clone());
                return Err(ParameterError::Shape { file, name, found, expected });
            }
            if let Some((index, value)) = tensor.iter().enumerate().find(|(_, x)| !x.is_finite()) {
                return Err(ParameterError::NotFinite { file, name, value: *value, index });
            }
            tensors.push(tensor);
        }
        if let Some((name, tensor)) = found.pop_first() {
            return Err(ParameterError::Unexpected { file: file.into(), name, found: tensor.shape().to_vec() });
        }
        let names = specs.into_iter().map(|spec| spec.name).collect();
        Ok(Self { names, tensors, on_device: OnDevice::default() })
    }

    /// Reads a safetensors file and checks it against the hyper-parameters.
    ///
    /// # Errors
    /// Any [`ParameterError`].
    pub fn load(path: &Path, hyper: &Hyperparameters) -> Result<Self, ParameterError> {
        let bytes = input::read(path, input::MOST_DATA);
        let bytes = bytes.map_err(|source| ParameterError::Io { file: path.into(), source })?;
        let archive =
            SafeTensors::deserialize(&bytes).map_err(|source| ParameterError::Format { file: path.into(), source })?;
        let mut found = BTreeMap::new();
        for (name, view) in archive.iter() {
            found.insert(name.to_string(), float32(name, &view, path)?);
        }
        Self::assemble(found, hyper, path)
    }

    /// The bytes of a safetensors file; equal parameters give equal bytes.
    ///
    /// # Errors
    /// Only if the header grows beyond the format's limit of 100 MB.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, SafeTensorError> {
        let data: Vec<Vec<u8>> = self.tensors.iter().map(little_endian).collect();
        let views = self.names.iter().zip(&self.tensors).zip(&data).map(|((name, tensor), data)| {
            TensorView::new(Dtype::F32, tensor.shape().to_vec(), data).map(|view| (name.as_str(), view))
        });
        safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None)
    }

    /// Writes a safetensors file.
    ///
    /// # Errors
    /// [`ParameterError::Io`] or [`ParameterError::Format`].
    pub fn save(&self, path: &Path) -> Result<(), ParameterError> {
        let bytes = self.to_safetensors().map_err(|source| ParameterError::Format { file: path.into(), source })?;
        write_atomically(path, &bytes).map_err(|source| ParameterError::Io { file: path.into(), source })
    }

    /// Names and tensors in the order of [`parameter_specs`].
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// As [`Self::iter`]; values may change, shapes may not.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, ndarray::ArrayViewMutD<'_, f32>)> {
        self.on_device = OnDevice::default();
        self.names.iter().map(String::as_str).zip(self.tensors.iter_mut().map(|tensor| tensor.view_mut()))
    }

    /// The tensors in a device's memory, in the order of [`Self::iter`]: copied there once for as long as they do not change.
    pub(super) fn on_device(&self, device: Device) -> Result<Arc<Vec<OrtTensor>>, runtime::Error> {
        self.on_device.get(&self.tensors, device)
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.iter().find(|(other, _)| *other == name).map(|(_, tensor)| tensor)
    }

    /// Number of parameters (scalars).
    pub fn count(&self) -> usize {
        self.tensors.iter().map(ArrayD::len).sum()
    }
}

fn float32(name: &str, view: &TensorView<'_>, file: &Path) -> Result<ArrayD<f32>, ParameterError> {
    if view.dtype() != Dtype::F32 {
        let found = format!("{:?}", view.dtype());
        return Err(ParameterError::ElementType { file: file.into(), name: name.into(), found });
    }
    // The archive has checked that data and shape agree.
    array_from_bytes(view.shape(), view.data()).ok_or_else(|| ParameterError::Format {
        file: file.into(),
        source: SafeTensorError::InvalidTensorView(Dtype::F32, view.shape().to_vec(), view.data().len()),
    })
}

/// Little-endian float32 in row-major order; none when the number of bytes is not what the shape needs.
pub(super) fn array_from_bytes(shape: &[usize], bytes: &[u8]) -> Option<ArrayD<f32>> {
    let values = bytes.as_chunks::<4>();
    let values = values.1.is_empty().then(|| values.0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())?;
    ArrayD::from_shape_vec(shape, values).ok()
}

fn little_endian(tensor: &ArrayD<f32>) -> Vec<u8> {
    tensor.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::golden::golden;
    use super::super::hyper::tests::tiny;
    use super::*;

    fn names(hyper: &Hyperparameters) -> Vec<String> {
        parameter_specs(hyper).into_iter().map(|spec| spec.name).collect()
    }

    fn written(parameters: &Parameters) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        parameters.save(file.path()).unwrap();
        file
    }

    #[test]
    fn names_and_counts_are_the_reference_s() {
        let paper = Hyperparameters::paper();
        let list = names(&paper);
        assert_eq!(list.len(), 277);
        assert_eq!(list[..5], ["~/g_embeddings", "~/w_embeddings", "~/a_embeddings", "linear/w", "linear/b"]);
        for (name, shape) in [
            ("linear_2/w", vec![65, 64]),
            ("linear_6/w", vec![42, 64]),
            ("multi_head_attention_15/linear/w", vec![1024, 64]),
            ("linear_38/w", vec![256, 64]),
            ("layer_norm_32/scale", vec![64]),
            ("linear_39/w", vec![64, 171]),
        ] {
            assert!(parameter_specs(&paper).iter().any(|spec| spec.name == name && spec.shape == shape), "{name}");
        }
        let distinct: std::collections::BTreeSet<_> = list.iter().collect();
        assert_eq!(distinct.len(), list.len());
        for hyper in [paper, tiny(), Hyperparameters { h0_size: 0, Kx: 64, ..tiny() }] {
            let sum: usize = parameter_specs(&hyper).iter().map(|spec| spec.shape.iter().product::<usize>()).sum();
            assert_eq!(sum as u64, hyper.parameter_count());
        }
    }

    #[test]
    fn without_the_first_network_a_table_stands_in_and_linears_move_down() {
        let hyper = Hyperparameters { h0_size: 0, ..tiny() };
        let specs = parameter_specs(&hyper);
        assert_eq!((specs[3].name.as_str(), specs[3].shape.as_slice()), ("~/w_params", [230, 28].as_slice()));
        assert_eq!((specs[4].name.as_str(), specs[4].shape.as_slice()), ("linear/w", [17, 16].as_slice()));
        assert_eq!(specs.last().unwrap().name, "linear_9/b");
    }

    #[test]
    fn initial_values_are_cut_normals_zeros_and_ones() {
        let parameters = Parameters::initialise(&tiny(), 1);
        assert_eq!(parameters.count(), 14_565);
        for (name, tensor) in parameters.iter() {
            match name.rsplit('/').next().unwrap() {
                "b" | "offset" => assert!(tensor.iter().all(|x| *x == 0.0), "{name}"),
                "scale" => assert!(tensor.iter().all(|x| *x == 1.0), "{name}"),
                _ => {
                    assert!(tensor.iter().all(|x| x.abs() <= 0.02), "{name}");
                    assert!(tensor.iter().any(|x| x.abs() > 0.01), "{name}");
                }
            }
        }
        // Width of a standard normal cut at two sigma, times 0.01.
        let embedding = parameters.get("~/g_embeddings").unwrap();
        assert!((f64::from(embedding.std(0.0)) - 0.008_796).abs() < 3e-4);
        assert_eq!(parameters, Parameters::initialise(&tiny(), 1));
        assert_ne!(embedding, Parameters::initialise(&tiny(), 2).get("~/g_embeddings").unwrap());
        assert_ne!(parameters.get("linear_4/w"), parameters.get("linear_5/w"));
    }

    #[test]
    fn files_come_back_and_have_one_byte_sequence() {
        let parameters = Parameters::initialise(&tiny(), 3);
        let file = written(&parameters);
        assert_eq!(Parameters::load(file.path(), &tiny()).unwrap(), parameters);
        assert_eq!(std::fs::read(file.path()).unwrap(), parameters.to_safetensors().unwrap());
        let again = Parameters::initialise(&tiny(), 3);
        assert_eq!(parameters.to_safetensors().unwrap(), again.to_safetensors().unwrap());
    }

    #[test]
    fn files_of_another_model_are_refused_with_both_shapes() {
        let file = written(&Parameters::initialise(&tiny(), 3));
        let refusal = |hyper: Hyperparameters| {
            let message = Parameters::load(file.path(), &hyper).unwrap_err().to_string();
            message.strip_prefix(&format!("{}: ", file.path().display())).unwrap().to_string()
        };
        assert_eq!(
            refusal(Hyperparameters { embed_size: 9, ..tiny() }),
            "tensor `~/g_embeddings` has shape [230, 8], but the hyper-parameters ask for [230, 9]"
        );
        assert_eq!(
            refusal(Hyperparameters { Kl: 3, ..tiny() }),
            "tensor `linear_11/w` has shape [16, 145], but the hyper-parameters ask for [16, 158]"
        );
        assert_eq!(
            refusal(Hyperparameters { num_layers: 3, ..tiny() }),
            "tensor `multi_head_attention_2/query/w` of shape [16, 16] is missing"
        );
        assert_eq!(
            refusal(Hyperparameters { h0_size: 0, ..tiny() }),
            "tensor `~/w_params` of shape [230, 28] is missing"
        );
    }

    #[test]
    fn surplus_foreign_damaged_and_infinite_tensors_are_refused() {
        let parameters = Parameters::initialise(&tiny(), 3);
        let tensors = || -> BTreeMap<_, _> { parameters.iter().map(|(n, t)| (n.to_string(), t.clone())).collect() };
        let assemble = |tensors| Parameters::assemble(tensors, &tiny(), Path::new("f")).map_err(|e| e.to_string());
        assert_eq!(assemble(tensors()).as_ref(), Ok(&parameters));
        let mut surplus = tensors();
        surplus.insert("head/w".into(), ArrayD::zeros(vec![2]));
        assert_eq!(assemble(surplus).unwrap_err(), "f: tensor `head/w` of shape [2] is not part of this model");
        let mut infinite = tensors();
        infinite.get_mut("linear_3/b").unwrap()[[5]] = f32::NEG_INFINITY;
        assert_eq!(assemble(infinite).unwrap_err(), "f: tensor `linear_3/b` has -inf at index 5");

        let file = tempfile::NamedTempFile::new().unwrap();
        let doubles = TensorView::new(Dtype::F64, vec![1], &[0; 8]).unwrap();
        std::fs::write(file.path(), safetensors::serialize([("linear/b", doubles)], None).unwrap()).unwrap();
        let message = Parameters::load(file.path(), &tiny()).unwrap_err().to_string();
        assert!(message.ends_with("tensor `linear/b` holds F64, but parameters are float32"), "{message}");
        let bytes = parameters.to_safetensors().unwrap();
        for length in [0, 7, 100, bytes.len() - 1] {
            std::fs::write(file.path(), &bytes[..length]).unwrap();
            assert!(matches!(Parameters::load(file.path(), &tiny()), Err(ParameterError::Format { .. })), "{length}");
        }
    }

    #[test]
    fn parameters_of_the_reference_load() {
        for (name, hyper, count) in [("tiny", tiny(), 14_565), ("paper", Hyperparameters::paper(), 4_833_575)] {
            let Some(path) = golden(&format!("{name}/params.safetensors")) else { return };
            let parameters = Parameters::load(&path, &hyper).unwrap();
            assert_eq!(parameters.count(), count);
            assert_eq!(Parameters::load(written(&parameters).path(), &hyper).unwrap(), parameters);
        }
    }
}
