//! Tensor data that a model keeps in files beside it, as PyTorch's exporter writes it.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::GraphError;
use super::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto};

/// The files that the model's tensors lie in, relative to its own folder, in alphabetical order.
///
/// # Errors
/// [`GraphError::Tensor`] for a tensor that names no file, or one outside the folder.
pub fn external_files(model: &ModelProto) -> Result<Vec<String>, GraphError> {
    let mut model = model.clone();
    let mut files = BTreeMap::new();
    each_tensor(&mut model, &mut |tensor| {
        if let Some(place) = DataLocation::of(tensor)? {
            files.insert(place.file, ());
        }
        Ok(())
    })?;
    Ok(files.into_keys().collect())
}

/// Moves all tensor data into the model itself; `files` holds the contents of each file.
///
/// # Errors
/// [`GraphError::Tensor`] for a tensor whose file is not there or too short.
pub fn embed_external(model: &mut ModelProto, files: &BTreeMap<String, Vec<u8>>) -> Result<(), GraphError> {
    each_tensor(model, &mut |tensor| {
        let Some(place) = DataLocation::of(tensor)? else { return Ok(()) };
        let contents = files.get(&place.file).ok_or_else(|| fail(tensor, format!("no file `{}`", place.file)))?;
        let rest = contents.get(place.offset..).unwrap_or_default();
        let length = place.length.unwrap_or(rest.len());
        let data = rest.get(..length).ok_or_else(|| {
            let (file, found, offset) = (&place.file, contents.len(), place.offset);
            fail(tensor, format!("`{file}` has {found} bytes, not the {length} from byte {offset} on"))
        })?;
        tensor.raw_data = Some(data.to_vec());
        tensor.external_data.clear();
        tensor.data_location = None;
        Ok(())
    })
}

/// Where a tensor's data lies.
struct DataLocation {
    file: String,
    offset: usize,
    length: Option<usize>,
}

impl DataLocation {
    fn of(tensor: &TensorProto) -> Result<Option<Self>, GraphError> {
        if tensor.data_location != Some(tensor_proto::DataLocation::External as i32) {
            return Ok(None);
        }
        let entry = |key: &str| {
            let entry = tensor.external_data.iter().find(|entry| entry.key.as_deref() == Some(key));
            entry.and_then(|entry| entry.value.clone())
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| fail(tensor, format!("`{key}` is `{text}`, no number"))),
        };
        let file = entry("location").filter(|file| !file.is_empty());
        let file = file.ok_or_else(|| fail(tensor, "its data lies in a file that is not named".into()))?;
        let inside = Path::new(&file).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(fail(tensor, format!("its data lies in `{file}`, outside the model's folder")));
        }
        Ok(Some(Self { file, offset: number("offset")?.unwrap_or(0), length: number("length")? }))
    }
}

fn fail(tensor: &TensorProto, reason: String) -> GraphError {
    GraphError::Tensor { name: tensor.name.clone().unwrap_or_default(), reason }
}

type Visit<'a> = dyn FnMut(&mut TensorProto) -> Result<(), GraphError> + 'a;

fn each_tensor(model: &mut ModelProto, visit: &mut Visit<'_>) -> Result<(), GraphError> {
    if let Some(graph) = &mut model.graph {
        of_graph(graph, visit)?;
    }
    model.functions.iter_mut().try_for_each(|function| of_nodes(&mut function.node, visit))
}

fn of_graph(graph: &mut GraphProto, visit: &mut Visit<'_>) -> Result<(), GraphError> {
    graph.initializer.iter_mut().try_for_each(&mut *visit)?;
    of_nodes(&mut graph.node, visit)
}

fn of_nodes(nodes: &mut [NodeProto], visit: &mut Visit<'_>) -> Result<(), GraphError> {
    for attribute in nodes.iter_mut().flat_map(|node| &mut node.attribute) {
        of_attribute(attribute, visit)?;
    }
    Ok(())
}

fn of_attribute(attribute: &mut AttributeProto, visit: &mut Visit<'_>) -> Result<(), GraphError> {
    attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(&mut *visit)?;
    attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|graph| of_graph(graph, visit))
}

#[cfg(test)]
mod tests {
    use super::super::onnx::StringStringEntryProto;
    use super::*;

    fn model(entries: &[(&str, &str)]) -> ModelProto {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some((*key).into()),
            value: Some((*value).into()),
        };
        let tensor = TensorProto {
            name: Some("w".into()),
            data_location: Some(tensor_proto::DataLocation::External as i32),
            external_data: entries.iter().map(entry).collect(),
            ..TensorProto::default()
        };
        let graph = GraphProto { initializer: vec![tensor], ..GraphProto::default() };
        ModelProto { graph: Some(graph), ..ModelProto::default() }
    }

    #[test]
    fn data_is_taken_from_its_place() {
        let mut model = model(&[("location", "a.data"), ("offset", "2"), ("length", "3")]);
        assert_eq!(external_files(&model).unwrap(), ["a.data"]);
        embed_external(&mut model, &BTreeMap::from([("a.data".into(), vec![0, 1, 2, 3, 4, 5])])).unwrap();
        assert_eq!(model.graph.as_ref().unwrap().initializer[0].raw_data.as_deref(), Some(&[2, 3, 4][..]));
        assert!(external_files(&model).unwrap().is_empty());
    }

    #[test]
    fn a_file_outside_or_cut_short_is_refused() {
        for outside in ["../a.data", "/etc/passwd", "b/../../a"] {
            let error = external_files(&model(&[("location", outside)])).unwrap_err();
            assert!(error.to_string().contains("outside the model's folder"), "{error}");
        }
        let mut cut = model(&[("location", "a"), ("length", "9")]);
        let error = embed_external(&mut cut, &BTreeMap::from([("a".into(), vec![0; 4])])).unwrap_err();
        assert_eq!(error.to_string(), "tensor `w`: `a` has 4 bytes, not the 9 from byte 0 on");
        assert!(external_files(&model(&[("location", "a"), ("offset", "-1")])).is_err());
    }
}
