//! Operators whose derivative goes through others: normalisations, attention, recurrence, windows, fused operators, and products
//! of scattered elements.

use ndarray::{ArrayD, arr1, arr2};
use temper::graph::{Attributes, Builder, Tensor, Value};

use crate::cases::Case;

fn plain() -> Attributes {
    Attributes::none()
}

/// Every row.
pub fn composites() -> Vec<Case> {
    [normalizations(), fused(), attention(), recurrent(), windows(), scattered(), einsums(), linear()]
        .into_iter()
        .flatten()
        .collect()
}

fn normalizations() -> Vec<Case> {
    let group = |opset: i64, scale: &'static [usize]| {
        Case::new("GroupNormalization", &[&[2, 4, 3], scale, scale], |b, v| {
            b.node("GroupNormalization", v, plain().int("num_groups", 2).float("epsilon", 1e-2))
        })
        .state(0, &[1])
        .state(1, &[0])
        .state(2, &[0])
        .opset(opset)
        .named(&format!("opset {opset}"))
    };
    let mut rows = vec![group(21, &[4]).single(), group(18, &[2]).single()];
    for (axis, scale) in [(-1, &[4][..]), (1, &[3, 4])] {
        rows.push(
            Case::new("RMSNormalization", &[&[2, 3, 4], scale], move |b, v| {
                b.node("RMSNormalization", v, plain().int("axis", axis).float("epsilon", 1e-3))
            })
            .opset(23)
            .named(&format!("axis {axis}")),
        );
    }
    for (axis, p) in [(-1, 2), (0, 1), (1, 2)] {
        rows.push(
            Case::new("LpNormalization", &[&[2, 3]], move |b, v| {
                b.node("LpNormalization", v, plain().int("axis", axis).int("p", p))
            })
            .named(&format!("axis {axis} p {p}")),
        );
    }
    for axes in [&[0, 2][..], &[-1]] {
        rows.push(
            Case::new("MeanVarianceNormalization", &[&[2, 3, 4]], move |b, v| {
                b.node("MeanVarianceNormalization", v, plain().ints("axes", axes))
            })
            .single()
            .named(&format!("{axes:?}")),
        );
    }
    rows
}

fn fused() -> Vec<Case> {
    let product = |turn_x: i64, turn_y: i64, shapes: &[&[usize]]| {
        Case::new("com.microsoft.FusedMatMul", shapes, move |b, v| {
            let attributes = plain().int("transA", turn_x).int("transB", turn_y).float("alpha", 0.7);
            b.node("com.microsoft.FusedMatMul", v, attributes)
        })
        .single()
        .named(&format!("{turn_x} {turn_y}"))
    };
    let gemm = |activation: &'static str, alpha: f32| {
        Case::new("com.microsoft.FusedGemm", &[&[2, 3], &[4, 3], &[4]], move |b, v| {
            let attributes = plain().int("transB", 1).string("activation", activation);
            let attributes = if alpha == 0.0 { attributes } else { attributes.float("activation_alpha", alpha) };
            b.node("com.microsoft.FusedGemm", v, attributes)
        })
        .single()
        .named(activation)
    };
    vec![
        product(0, 0, &[&[2, 3], &[3, 4]]),
        product(1, 0, &[&[3, 2], &[3, 4]]),
        product(0, 1, &[&[2, 2, 3], &[2, 4, 3]]),
        product(1, 1, &[&[3, 2], &[4, 3]]),
        gemm("Relu", 0.0),
        gemm("Tanh", 0.0),
        gemm("LeakyRelu", 0.3),
        Case::new("com.microsoft.BiasGelu", &[&[2, 3], &[3]], |b, v| b.node("com.microsoft.BiasGelu", v, plain()))
            .single()
            .state(0, &[1])
            .state(1, &[0]),
        Case::new("com.microsoft.SkipLayerNormalization", &[&[2, 3, 4], &[2, 3, 4], &[4], &[4], &[4]], |b, v| {
            b.node("com.microsoft.SkipLayerNormalization", v, plain().float("epsilon", 1e-2))
        })
        .single()
        .state(0, &[2])
        .state(1, &[2])
        .state(2, &[0])
        .state(3, &[0])
        .state(4, &[0]),
        Case::new("com.microsoft.SkipLayerNormalization", &[&[2, 3, 4], &[2, 3, 4], &[4]], |b, v| {
            let inputs: Vec<_> = v.iter().map(|v| Some(*v)).collect();
            let outputs = b.node_with("com.microsoft.SkipLayerNormalization", &inputs, 4, plain());
            b.mul(outputs[0], outputs[3])
        })
        .single()
        .named("and its sum")
        .state(0, &[2])
        .state(1, &[2])
        .state(2, &[0]),
    ]
}

fn attention() -> Vec<Case> {
    let four = |detail: &str, attributes: Attributes| {
        Case::new("Attention", &[&[2, 2, 3, 4], &[2, 2, 3, 4], &[2, 2, 3, 5]], move |b, v| {
            b.node("Attention", v, attributes.clone())
        })
        .single()
        .opset(23)
        .named(detail)
        .state(0, &[1, 3])
        .state(1, &[1, 3])
        .state(2, &[1, 3])
    };
    let mask = |detail: &str, mask: Tensor| {
        Case::new("Attention", &[&[1, 2, 3, 4], &[1, 2, 2, 4], &[1, 2, 2, 4]], |b, v| b.node("Attention", v, plain()))
            .single()
            .opset(23)
            .with(mask)
            .named(detail)
            .state(0, &[1, 3])
            .state(1, &[1, 3])
            .state(2, &[1, 3])
    };
    let flat = Case::new("Attention", &[&[2, 3, 8], &[2, 3, 4], &[2, 3, 4]], |b, v| {
        b.node("Attention", v, plain().int("q_num_heads", 4).int("kv_num_heads", 2))
    });
    vec![
        four("plain", plain()),
        four("causal", plain().int("is_causal", 1)),
        four("scaled and capped", plain().float("scale", 0.3).float("softcap", 2.0)),
        mask("flags", arr2(&[[true, false], [true, true], [false, true]]).into()),
        mask("numbers", arr2(&[[0.5_f32, -0.5], [0.1, 0.2], [-1.0, 1.0]]).into()),
        flat.single().opset(23).named("shared keys").state(0, &[2]).state(1, &[2]).state(2, &[2]),
        Case::new("Attention", &[&[1, 2, 3, 4]], |b, v| b.node("Attention", &[v[0], v[0], v[0]], plain()))
            .single()
            .opset(23)
            .named("self")
            .state(0, &[1, 3]),
    ]
}

/// Numbers of a fixed weight, none equal.
fn weight(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let numbers = (0..count).map(|i| ((i * 7 % count) as f32 + 0.5) / count as f32 - 0.5).collect();
    ArrayD::from_shape_vec(shape, numbers).unwrap().into()
}

fn recurrent() -> Vec<Case> {
    let mut rows = Vec::new();
    for (op, gates) in [("LSTM", 4), ("GRU", 3)] {
        for (direction, directions) in [("forward", 1), ("reverse", 1), ("bidirectional", 2)] {
            for after in [0, 1] {
                let attributes = plain().string("direction", direction).int("hidden_size", 2);
                let attributes = if op == "GRU" { attributes.int("linear_before_reset", after) } else { attributes };
                let build = move |b: &mut Builder, v: &[Value]| {
                    let parameters = [
                        weight(&[directions, gates * 2, 3]),
                        weight(&[directions, gates * 2, 2]),
                        weight(&[directions, gates * 4]),
                    ];
                    let mut inputs = vec![Some(v[0])];
                    inputs.extend(parameters.map(|tensor| Some(b.constant(tensor))));
                    inputs.extend([None, Some(v[1])]);
                    inputs.extend((op == "LSTM" && after == 1).then(|| Some(v[1])));
                    let outputs = b.node_with(op, &inputs, 2, attributes.clone());
                    let (all, last) = (b.sum_all(outputs[0]), b.sum_all(outputs[1]));
                    let both = b.mul(all, last);
                    b.mul(both, outputs[1])
                };
                let case = Case::new(op, &[&[2, 4, 3], &[directions, 4, 2]], build);
                rows.push(case.single().named(&format!("{direction} {after}")).state(0, &[0, 2]).state(1, &[0, 2]));
            }
        }
    }
    rows
}

fn windows() -> Vec<Case> {
    let conv = |detail: &str, attributes: Attributes, shapes: &[&[usize]]| {
        let kernel: Vec<usize> = (0..shapes[1].len()).collect();
        Case::new("Conv", shapes, move |b, v| b.node("Conv", v, attributes.clone()))
            .single()
            .named(detail)
            .state(0, &kernel[1..])
            .state(1, &kernel)
    };
    let pool = |op: &'static str, detail: &str, attributes: Attributes, shape: &[usize]| {
        let axes: Vec<usize> = (1..shape.len()).collect();
        Case::new(op, &[shape], move |b, v| b.node(op, v, attributes.clone())).single().named(detail).state(0, &axes)
    };
    let mut rows = vec![
        conv("1d", plain(), &[&[2, 3, 5], &[4, 3, 2], &[4]]).state(2, &[0]),
        conv("padded", plain().ints("pads", &[1, 2]).ints("strides", &[2]), &[&[2, 3, 5], &[4, 3, 3]]),
        conv("dilated", plain().ints("dilations", &[2]), &[&[2, 3, 5], &[2, 3, 2]]),
        conv("same", plain().string("auto_pad", "SAME_UPPER"), &[&[2, 3, 5], &[2, 3, 2]]),
        conv("groups", plain().int("group", 2), &[&[2, 4, 5], &[6, 2, 2]]),
        conv("2d", plain().ints("pads", &[1, 0, 0, 1]), &[&[2, 2, 3, 4], &[3, 2, 2, 2]]),
    ];
    for op in ["MaxPool", "AveragePool"] {
        rows.push(pool(op, "1d", plain().ints("kernel_shape", &[2]), &[2, 3, 5]));
        rows.push(pool(
            op,
            "padded",
            plain().ints("kernel_shape", &[3, 2]).ints("strides", &[2, 1]).ints("pads", &[1, 0, 1, 1]),
            &[2, 2, 4, 3],
        ));
    }
    let counted = plain().ints("kernel_shape", &[2]).ints("pads", &[1, 1]).int("count_include_pad", 1);
    rows.push(pool("AveragePool", "what is added counts", counted, &[2, 2, 4]));
    for (aligned, padding) in [(0, "zeros"), (1, "border")] {
        rows.push(
            Case::new("GridSample", &[&[2, 2, 3, 4], &[2, 3, 2, 2]], move |b, v| {
                b.node("GridSample", v, plain().int("align_corners", aligned).string("padding_mode", padding))
            })
            .single()
            .range(-0.9, 0.9)
            .named(padding)
            .state(0, &[1, 2, 3])
            .state(1, &[3]),
        );
    }
    rows.push(pool("GlobalAveragePool", "", plain(), &[2, 3, 4]));
    rows.push(pool("GlobalMaxPool", "", plain(), &[2, 3, 4]));
    rows
}

fn scattered() -> Vec<Case> {
    let mut rows = Vec::new();
    for reduction in ["mul", "max", "min"] {
        rows.push(
            Case::new("ScatterND", &[&[3, 2], &[3, 2]], move |b, v| {
                b.node("ScatterND", &[v[0], v[2], v[1]], plain().string("reduction", reduction))
            })
            .with(arr2(&[[0i64], [2], [0]]))
            .named(reduction),
        );
    }
    rows.push(
        Case::new("ScatterElements", &[&[3, 2], &[3, 2]], |b, v| {
            b.node("ScatterElements", &[v[0], v[2], v[1]], plain().int("axis", 0).string("reduction", "mul"))
        })
        .with(arr2(&[[0i64, 1], [2, 1], [0, 1]]))
        .named("mul"),
    );
    rows
}

fn einsums() -> Vec<Case> {
    let rows: [(&'static str, &'static [&'static [usize]]); 9] = [
        ("...i->...", &[&[2, 3]]),
        ("...ij,...jk->...ik", &[&[2, 2, 3], &[2, 3, 2]]),
        ("...ij,jk->...ik", &[&[2, 2, 3], &[3, 2]]),
        ("...i,...i->...", &[&[2, 3], &[2, 3]]),
        ("...i,i", &[&[2, 3], &[3]]),
        ("ii->i", &[&[3, 3]]),
        ("ii", &[&[3, 3]]),
        ("bii->b", &[&[2, 3, 3]]),
        ("bii,bi->i", &[&[2, 3, 3], &[2, 3]]),
    ];
    let case = |(equation, shapes): (&'static str, &'static [&'static [usize]])| {
        Case::new("Einsum", shapes, move |b, v| b.node("Einsum", v, plain().string("equation", equation)))
            .named(equation)
    };
    rows.into_iter().map(case).collect()
}

/// A slice of a tensor into a linear layer: the transposes of its derivative meet `Gemm`.
fn linear() -> Vec<Case> {
    let mut rows = Vec::new();
    for (indices, detail) in [(vec![0i64], "one"), (vec![2, 0, 2], "three")] {
        for axis in [0, 1] {
            let indices = indices.clone();
            let build = move |b: &mut Builder, v: &[Value]| {
                let at = b.constant(ndarray::Array1::from_vec(indices.clone()));
                let x = b.gather(v[0], at, axis);
                let x = b.reshape(x, &[-1, 3]);
                let product = b.node("Gemm", &[x, v[1], v[2]], plain().int("transB", 1));
                b.mul(product, product)
            };
            rows.push(Case::new("Gather", &[&[3, 3, 3], &[3, 3], &[3]], build).named(&format!("{detail} {axis}")));
        }
    }
    let selected = |b: &mut Builder, v: &[Value]| {
        let zero = b.constant(ndarray::arr0(0i64));
        let x = b.gather(v[0], zero, 1);
        let product = b.node("Gemm", &[x, v[1]], plain());
        b.mul(product, product)
    };
    rows.push(Case::new("Gather", &[&[3, 1, 3], &[3, 3]], selected).named("x[:, 0] into a linear layer"));
    let narrow = |b: &mut Builder, v: &[Value]| {
        let at = b.constant(arr1(&[1i32, 0, 1]));
        b.gather(v[0], at, 1)
    };
    rows.push(Case::new("Gather", &[&[2, 3]], narrow).named("int32 indices"));
    rows
}
