"""Metadata and axis names of Temper's ONNX contract, version 1, written into an exported file."""

import onnx

AXES = {
    "atomic_numbers": ["n"], "positions": ["n", 3], "cell": ["b", 3, 3], "batch": ["n"],
    "edge_index": [2, "e"], "edge_shift": ["e", 3], "edge_reverse": ["e"], "triplet_index": [2, "t"], "state": ["b"],
    "energy": ["b"], "forces": ["n", 3], "stress": ["b", 3, 3], "magmoms": ["n"],
}  # fmt: skip


def stamp(path, metadata, units):
    """Adds `temper.*` metadata and the units of the outputs; drops what the exporter wrote for itself."""
    model = onnx.load(path)
    del model.metadata_props[:]
    entries = {"contract": "1", **metadata, **{f"unit.{output}": unit for output, unit in units.items()}}
    for key, value in entries.items():
        model.metadata_props.add(key=f"temper.{key}", value=value)
    forget_the_exporter(model)
    for port in [*model.graph.input, *model.graph.output]:
        shape = port.type.tensor_type.shape
        del shape.dim[:]
        for size in AXES.get(port.name, ["b"]):
            shape.dim.add(**({"dim_value": size} if isinstance(size, int) else {"dim_param": size}))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def forget_the_exporter(model):
    """Source paths, stack traces, and inner shapes under the exporter's own axis names."""
    model.doc_string = model.graph.doc_string = ""
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for port in [*model.graph.input, *model.graph.output]:
        del port.metadata_props[:]
