//! The table of operators: for each form, arguments and how to apply it.

use ndarray::{Array1, arr0, arr1, arr2};
use temper::graph::{Attributes, Builder, DataType, Tensor, Value};

use crate::composites::composites;

/// What an operator is given.
pub enum Argument {
    /// Float numbers, by which it is differentiated.
    Varied {
        /// Extents.
        shape: Vec<usize>,
        /// Least and largest number.
        range: (f64, f64),
        /// Axes whose extents are stated even where the others are not.
        stated: Vec<usize>,
    },
    /// Indices and the like.
    Fixed(Tensor),
}

impl Argument {
    /// Whether differences are taken by it.
    pub fn is_varied(&self) -> bool {
        matches!(self, Self::Varied { .. })
    }

    /// Its extents.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Varied { shape, .. } => shape.clone(),
            Self::Fixed(tensor) => tensor.shape().to_vec(),
        }
    }

    /// Whether the extent of an axis is always stated.
    pub fn keeps(&self, axis: usize) -> bool {
        match self {
            Self::Varied { stated, .. } => stated.contains(&axis),
            // The number of indices, axes or pads decides ranks, which a graph must know.
            Self::Fixed(tensor) => axis + 1 == tensor.shape().len(),
        }
    }

    /// Its element type.
    pub fn data_type(&self, float: DataType) -> DataType {
        match self {
            Self::Varied { .. } => float,
            Self::Fixed(tensor) => tensor.data_type(),
        }
    }
}

type Build = Box<dyn Fn(&mut Builder, &[Value]) -> Value>;

/// One form of one operator.
pub struct Case {
    /// The operator, as the table of rules names it.
    pub op: &'static str,
    /// What is special about the form.
    pub detail: String,
    /// What it is given.
    pub arguments: Vec<Argument>,
    /// Applies it.
    pub build: Build,
    /// Precision: float64, or float32 where ONNX Runtime has no other kernel.
    pub data_type: DataType,
    /// Relative and absolute.
    pub tolerance: (f64, f64),
    /// Opset of the file.
    pub opset: i64,
}

impl Case {
    /// A case on numbers from -2 to 2.
    pub fn new(
        op: &'static str,
        shapes: &[&[usize]],
        build: impl Fn(&mut Builder, &[Value]) -> Value + 'static,
    ) -> Self {
        let varied =
            |shape: &&[usize]| Argument::Varied { shape: shape.to_vec(), range: (-2.0, 2.0), stated: Vec::new() };
        Self {
            op,
            detail: format!("{shapes:?}"),
            arguments: shapes.iter().map(varied).collect(),
            build: Box::new(build),
            data_type: DataType::F64,
            tolerance: (1e-7, 1e-8),
            opset: Builder::OPSET,
        }
    }

    pub fn range(mut self, low: f64, high: f64) -> Self {
        for argument in &mut self.arguments {
            if let Argument::Varied { range, .. } = argument {
                *range = (low, high);
            }
        }
        self
    }

    pub fn state(mut self, i: usize, axes: &[usize]) -> Self {
        if let Argument::Varied { stated, .. } = &mut self.arguments[i] {
            *stated = axes.to_vec();
        }
        self
    }

    pub fn with(mut self, tensor: impl Into<Tensor>) -> Self {
        self.arguments.push(Argument::Fixed(tensor.into()));
        self
    }

    pub fn single(mut self) -> Self {
        self.data_type = DataType::F32;
        self.tolerance = (2e-3, 2e-3);
        self
    }

    pub fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    pub fn named(mut self, detail: &str) -> Self {
        self.detail = format!("{detail} {}", self.detail);
        self
    }

    /// Width of a difference: short against the distance from corners, long against rounding.
    pub fn step(&self) -> f64 {
        if self.data_type == DataType::F64 { 1e-3 } else { 4e-3 }
    }
}

const SHAPES: [&[usize]; 3] = [&[], &[3], &[2, 3]];
const PAIRS: [[&[usize]; 2]; 7] = [
    [&[], &[]],
    [&[], &[2, 3]],
    [&[2, 3], &[]],
    [&[2, 3], &[2, 3]],
    [&[2, 3], &[3]],
    [&[2, 1, 3], &[4, 1]],
    [&[1], &[2, 2]],
];

fn plain() -> Attributes {
    Attributes::none()
}

/// Every row.
pub fn cases() -> Vec<Case> {
    [elementwise(), binary(), reductions(), layout(), indexing(), products(), normalizations(), composites()]
        .into_iter()
        .flatten()
        .collect()
}

/// An operator of one tensor and no attributes, on every shape.
fn each(op: &'static str, range: (f64, f64)) -> Vec<Case> {
    each_with(op, plain(), range)
}

fn each_with(op: &'static str, attributes: Attributes, range: (f64, f64)) -> Vec<Case> {
    let case = |shape: &&[usize]| {
        let attributes = attributes.clone();
        Case::new(op, &[shape], move |b, v| b.node(op, &[v[0]], attributes.clone())).range(range.0, range.1)
    };
    SHAPES.iter().map(case).collect()
}

fn single(cases: Vec<Case>) -> Vec<Case> {
    cases.into_iter().map(Case::single).collect()
}

fn elementwise() -> Vec<Case> {
    let all = (-2.0, 2.0);
    let (inside, positive) = ((-0.9, 0.9), (0.3, 3.0));
    let float = |name: &str, x: f32| plain().float(name, x);
    let mut rows: Vec<Case> = Vec::new();
    for (op, range) in [("Abs", all), ("Exp", all), ("Identity", all), ("Log", positive)] {
        rows.extend(each(op, range));
    }
    for (op, range) in [("Neg", all), ("Reciprocal", positive), ("Relu", all), ("Sigmoid", all)] {
        rows.extend(each(op, range));
    }
    for (op, range) in [("Sqrt", positive), ("Tanh", all)] {
        rows.extend(each(op, range));
    }
    for (op, range) in [
        ("Cos", all),
        ("Erf", all),
        ("Acos", inside),
        ("Asin", inside),
        ("Atan", all),
        ("Tan", (-1.0, 1.0)),
        ("Softsign", all),
    ] {
        rows.extend(single(each(op, range)));
    }
    for (op, range) in
        [("Sin", all), ("Sinh", all), ("Cosh", all), ("Asinh", all), ("Acosh", (1.3, 3.0)), ("Atanh", inside)]
    {
        rows.extend(single(each(op, range)));
    }
    for op in ["Softplus", "Elu", "Selu", "Celu", "LeakyRelu", "HardSigmoid", "HardSwish", "Mish", "ThresholdedRelu"] {
        rows.extend(single(each(op, all)));
    }
    rows.extend(single(each_with("Elu", float("alpha", 0.4), all)));
    rows.extend(single(each_with("Celu", float("alpha", 0.4), all)));
    rows.extend(single(each_with("Selu", float("alpha", 0.4).float("gamma", 1.3), all)));
    rows.extend(single(each_with("LeakyRelu", float("alpha", 0.4), all)));
    rows.extend(single(each_with("HardSigmoid", float("alpha", 0.4).float("beta", 0.3), all)));
    rows.extend(single(each("Gelu", all)));
    rows.extend(single(each_with("Gelu", plain().string("approximate", "tanh"), all)));
    rows.extend(single(each("com.microsoft.Gelu", all)));
    rows.extend(single(each("com.microsoft.QuickGelu", all)));
    rows.extend(single(each_with("com.microsoft.QuickGelu", float("alpha", 1.0), all)));
    rows.extend(single(each("com.microsoft.FastGelu", all)).into_iter().skip(1));
    rows.extend(single(each("Swish", all)).into_iter().map(|case| case.opset(24)));
    rows.extend(single(each_with("Swish", float("alpha", 0.6), all)).into_iter().map(|case| case.opset(24)));
    let fast = Case::new("com.microsoft.FastGelu", &[&[2, 3], &[3]], |b, v| {
        b.node("com.microsoft.FastGelu", v, Attributes::none())
    });
    // ONNX Runtime 1.28 divides by the number of columns.
    rows.push(fast.single().named("bias").state(0, &[1]).state(1, &[0]));
    rows.push(rotary());
    rows.push(Case::new("Cast", &[&[2, 3]], |b, v| b.cast(v[0], DataType::F64)).single());
    rows.push(
        Case::new("CastLike", &[&[2, 3]], |b, v| {
            let like = b.constant(arr0(1.0_f64));
            b.node("CastLike", &[v[0], like], Attributes::none())
        })
        .single(),
    );
    rows.push(Case::new("Dropout", &[&[2, 3]], |b, v| b.node("Dropout", v, Attributes::none())));
    for shape in SHAPES {
        rows.push(Case::new("Clip", &[shape], |b, v| {
            let (low, high) = (b.scalar_like(v[0], -1.0), b.scalar_like(v[0], 0.7));
            b.node("Clip", &[v[0], low, high], Attributes::none())
        }));
    }
    rows.push(
        Case::new("Clip", &[&[2, 3], &[]], |b, v| {
            b.node_with("Clip", &[Some(v[0]), None, Some(v[1])], 1, Attributes::none())[0]
        })
        .named("upper bound"),
    );
    rows.push(Case::new("Clip", &[&[2, 3], &[]], |b, v| b.node("Clip", v, Attributes::none())).named("lower bound"));
    rows
}

/// Two heads of four numbers at three positions.
fn rotary() -> Case {
    let build = |b: &mut Builder, v: &[Value]| {
        let start = b.constant(arr1(&[0_i64]));
        let cos = b.constant(arr2(&[[1.0_f32, 0.9], [0.5, 0.3], [-0.2, 0.7]]));
        let sin = b.constant(arr2(&[[0.0_f32, 0.4], [0.8, -0.6], [0.9, 0.1]]));
        let inputs = [v[0], start, cos, sin];
        b.node("com.microsoft.RotaryEmbedding", &inputs, Attributes::none().int("interleaved", 0))
    };
    let case = Case::new("com.microsoft.RotaryEmbedding", &[&[2, 2, 3, 4]], build);
    case.single().state(0, &[0, 1, 2, 3])
}

fn binary() -> Vec<Case> {
    let mut rows = Vec::new();
    for shapes in PAIRS {
        for op in ["Add", "Sub", "Mul", "Max", "Min", "Sum", "Mean"] {
            let case = Case::new(op, &shapes, move |b, v| b.node(op, v, Attributes::none()));
            rows.push(if op == "Mean" { case.single() } else { case });
        }
        for op in ["Div", "Pow", "Mod"] {
            let attributes = if op == "Mod" { plain().int("fmod", 1) } else { plain() };
            let case = Case::new(op, &shapes, move |b, v| b.node(op, v, attributes.clone()));
            rows.push(case.range(0.4, 2.1));
        }
        rows.push(Case::new("Where", &shapes, |b, v| {
            let condition = b.less(v[0], v[1]);
            b.where_(condition, v[0], v[1])
        }));
    }
    for op in ["Max", "Min", "Sum", "Mean"] {
        let case = Case::new(op, &[&[2, 3], &[3], &[]], move |b, v| b.node(op, v, Attributes::none()));
        rows.push(if op == "Mean" { case.single() } else { case });
    }
    for exponent in [0.0, 1.0, 2.0, 3.0, -1.0, -2.0] {
        rows.push(
            Case::new("Pow", &[&[2, 3]], move |b, v| {
                let exponent = b.scalar_like(v[0], exponent);
                b.pow(v[0], exponent)
            })
            .named("whole exponent"),
        );
    }
    rows.push(
        Case::new("Pow", &[&[2, 3]], |b, v| {
            let three = b.constant(arr0(3i64));
            b.pow(v[0], three)
        })
        .named("int64 exponent"),
    );
    for shapes in [[&[2, 3][..], &[3]], [&[2, 3, 2], &[3, 1]], [&[2, 3], &[1]]] {
        let case = Case::new("PRelu", &shapes, |b, v| b.node("PRelu", v, Attributes::none()));
        rows.push(case.single());
    }
    rows.push(
        Case::new("Range", &[&[], &[]], |b, v| {
            let seven = b.scalar_like(v[0], 7.0);
            b.node("Range", &[v[0], seven, v[1]], Attributes::none())
        })
        .range(0.6, 1.4),
    );
    rows
}

fn reductions() -> Vec<Case> {
    let mut rows = Vec::new();
    let double = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceLogSumExp", "ReduceSumSquare"];
    let only_single = ["ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum"];
    for op in double.into_iter().chain(only_single) {
        let range = if op == "ReduceLogSum" { (0.3, 2.0) } else { (-2.0, 2.0) };
        let precise = |case: Case| if double.contains(&op) { case } else { case.single() };
        for keep in [0, 1] {
            for axes in [&[0][..], &[-1], &[0, 2], &[1, 0, 2]] {
                let case = Case::new(op, &[&[2, 3, 2]], move |b, v| {
                    let axes = b.ints(axes);
                    b.node(op, &[v[0], axes], Attributes::none().int("keepdims", keep))
                });
                rows.push(precise(case.range(range.0, range.1)).named(&format!("axes {axes:?} keep {keep}")));
            }
            for shape in SHAPES {
                let case = Case::new(op, &[shape], move |b, v| b.node(op, v, Attributes::none().int("keepdims", keep)));
                rows.push(precise(case.range(range.0, range.1)).named(&format!("all axes, keep {keep}")));
            }
            let axes = arr1(&[1i64]);
            let case = Case::new(op, &[&[2, 3]], move |b, v| b.node(op, v, Attributes::none().int("keepdims", keep)));
            rows.push(
                precise(case.range(range.0, range.1)).with(axes).named(&format!("axes at run time, keep {keep}")),
            );
        }
    }
    for (exclusive, reverse) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        rows.push(Case::new("CumSum", &[&[2, 4]], move |b, v| {
            let axis = b.constant(arr0(1i64));
            b.node("CumSum", &[v[0], axis], Attributes::none().int("exclusive", exclusive).int("reverse", reverse))
        }));
    }
    for axis in [0, 1, -1] {
        for op in ["Softmax", "LogSoftmax"] {
            rows.push(Case::new(op, &[&[2, 3, 2]], move |b, v| b.node(op, v, Attributes::none().int("axis", axis))));
        }
    }
    rows
}

fn layout() -> Vec<Case> {
    let mut rows = vec![
        Case::new("Reshape", &[&[2, 3]], |b, v| b.reshape(v[0], &[3, -1])),
        Case::new("Reshape", &[&[2, 3]], |b, v| b.reshape(v[0], &[0, -1, 1])).named("kept extent"),
        Case::new("Reshape", &[&[]], |b, v| b.reshape(v[0], &[1, 1])),
        Case::new("Reshape", &[&[1]], |b, v| b.reshape(v[0], &[])),
        Case::new("Flatten", &[&[2, 3, 2]], |b, v| b.node("Flatten", v, plain())),
        Case::new("Flatten", &[&[2, 3, 2]], |b, v| b.node("Flatten", v, plain().int("axis", 0))),
        Case::new("Flatten", &[&[2, 3, 2]], |b, v| b.node("Flatten", v, plain().int("axis", -1))),
        Case::new("Flatten", &[&[]], |b, v| b.node("Flatten", v, plain().int("axis", 0))),
        Case::new("Squeeze", &[&[2, 1, 3]], |b, v| b.squeeze(v[0], &[1])),
        Case::new("Squeeze", &[&[2, 1, 3]], |b, v| b.node("Squeeze", v, plain())).state(0, &[0, 1, 2]),
        Case::new("Unsqueeze", &[&[2, 3]], |b, v| b.unsqueeze(v[0], &[-1, 0])),
        Case::new("Unsqueeze", &[&[]], |b, v| b.unsqueeze(v[0], &[0])),
        Case::new("Transpose", &[&[2, 3, 2]], |b, v| b.transpose(v[0], &[1, 2, 0])),
        Case::new("Transpose", &[&[2, 3]], |b, v| b.node("Transpose", v, plain())),
        Case::new("Transpose", &[&[]], |b, v| b.node("Transpose", v, plain())),
        Case::new("Expand", &[&[3]], |b, v| {
            let shape = b.ints(&[2, 1]);
            b.expand_to(v[0], shape)
        }),
        Case::new("Expand", &[&[]], |b, v| {
            let shape = b.ints(&[2, 2]);
            b.expand_to(v[0], shape)
        }),
        Case::new("Expand", &[&[2, 1]], |b, v| b.expand_to(v[0], v[1])).with(arr1(&[3i64, 1, 4])).named("at run time"),
        Case::new("Tile", &[&[2, 3]], |b, v| {
            let repeats = b.ints(&[2, 3]);
            b.node("Tile", &[v[0], repeats], plain())
        }),
        Case::new("Tile", &[&[2, 3]], |b, v| b.node("Tile", v, plain())).with(arr1(&[1i64, 2])).named("at run time"),
        Case::new("Concat", &[&[2, 3], &[2, 1], &[2, 2]], |b, v| b.concat(v, -1)),
        Case::new("Concat", &[&[3], &[1]], |b, v| b.concat(v, 0)),
        Case::new("Split", &[&[5]], |b, v| {
            let parts = b.split(v[0], 0, &[2, 3]);
            b.sum_all(parts[1])
        }),
        Case::new("Split", &[&[2, 5]], |b, v| {
            let axis = plain().int("axis", 1).int("num_outputs", 2);
            let parts = b.node_with("Split", &[Some(v[0])], 2, axis);
            let (first, second) = (b.sum_all(parts[0]), b.sum_all(parts[1]));
            b.mul(first, second)
        }),
    ];
    for upper in [0, 1] {
        rows.push(Case::new("Trilu", &[&[2, 3, 3]], move |b, v| b.node("Trilu", v, plain().int("upper", upper))));
        rows.push(Case::new("Trilu", &[&[3, 4]], move |b, v| {
            let k = b.constant(arr0(1i64));
            b.node("Trilu", &[v[0], k], plain().int("upper", upper))
        }));
    }
    rows.extend(pads());
    rows
}

fn pads() -> Vec<Case> {
    let mut rows = Vec::new();
    for mode in ["constant", "reflect", "edge", "wrap"] {
        rows.push(
            Case::new("Pad", &[&[3, 4]], move |b, v| {
                let pads = b.ints(&[0, 1, 2, 1]);
                b.node("Pad", &[v[0], pads], plain().string("mode", mode))
            })
            .named(mode),
        );
    }
    rows.push(
        Case::new("Pad", &[&[3, 4]], |b, v| {
            let pads = b.ints(&[1, -1, 0, 2]);
            b.node("Pad", &[v[0], pads], plain())
        })
        .named("cropped"),
    );
    rows.push(
        Case::new("Pad", &[&[3, 4]], |b, v| {
            let (pads, axes) = (b.ints(&[1, 2]), b.ints(&[-1]));
            b.node_with("Pad", &[Some(v[0]), Some(pads), None, Some(axes)], 1, plain())[0]
        })
        .named("axes"),
    );
    rows.push(Case::new("Pad", &[&[3]], |b, v| b.node("Pad", v, plain())).with(arr1(&[1i64, 2])).named("at run time"));
    rows
}

fn slice(bounds: [&'static [i64]; 4], shape: &[usize]) -> Case {
    Case::new("Slice", &[shape], move |b, v| {
        let bounds = bounds.map(|list| b.ints(list));
        b.node("Slice", &[v[0], bounds[0], bounds[1], bounds[2], bounds[3]], plain())
    })
}

fn indexing() -> Vec<Case> {
    let indices = || arr2(&[[2i64, 0], [0, -1]]);
    let mut rows = vec![
        slice([&[1], &[3], &[1], &[1]], &[2, 4]),
        slice([&[-2], &[i64::MAX], &[0], &[1]], &[4]),
        slice([&[-1], &[i64::MIN], &[1], &[-2]], &[2, 5]).named("backwards"),
        slice([&[0, 1], &[9, 3], &[0, -1], &[2, 1]], &[3, 4]).named("two axes"),
        slice([&[5], &[9], &[0], &[1]], &[3]).named("nothing"),
        Case::new("Slice", &[&[4, 2]], |b, v| b.node("Slice", v, plain())).with(arr1(&[1i64])).with(arr1(&[3i64])),
    ];
    for axis in [0, 1, -1] {
        rows.push(Case::new("Gather", &[&[3, 3, 3]], move |b, v| b.gather(v[0], v[1], axis)).with(indices()));
        rows.push(
            Case::new("Gather", &[&[3, 3]], move |b, v| {
                let one = b.constant(arr0(1i64));
                b.gather(v[0], one, axis)
            })
            .named("one index"),
        );
        rows.push(
            Case::new("GatherElements", &[&[3, 3]], move |b, v| b.gather_elements(v[0], v[1], axis)).with(indices()),
        );
        for reduction in ["none", "add", "max", "min"] {
            // Written twice, an element would be undefined.
            let at = if reduction == "none" { arr2(&[[2i64, 0], [0, 1]]) } else { arr2(&[[2i64, 0], [2, -3]]) };
            rows.push(
                Case::new("ScatterElements", &[&[3, 3], &[2, 2]], move |b, v| {
                    b.node(
                        "ScatterElements",
                        &[v[0], v[2], v[1]],
                        plain().int("axis", axis).string("reduction", reduction),
                    )
                })
                .with(at)
                .named(reduction),
            );
        }
        for largest in [0, 1] {
            rows.push(Case::new("TopK", &[&[3, 4]], move |b, v| {
                let k = b.ints(&[2]);
                b.node_with("TopK", &[Some(v[0]), Some(k)], 2, plain().int("axis", axis).int("largest", largest))[0]
            }));
        }
        rows.push(
            Case::new("Compress", &[&[3, 3]], move |b, v| b.node("Compress", v, plain().int("axis", axis)))
                .with(arr1(&[true, false, true])),
        );
    }
    rows.push(
        Case::new("Compress", &[&[2, 2]], |b, v| b.node("Compress", v, plain())).with(arr1(&[false, true, true])),
    );
    rows.push(
        Case::new("Gather", &[&[3, 2]], |b, v| b.gather(v[0], v[1], 0)).with(Array1::<i64>::zeros(0)).named("none"),
    );
    rows.push(Case::new("GatherND", &[&[3, 3, 2]], |b, v| b.node("GatherND", v, plain())).with(indices()));
    rows.push(Case::new("GatherND", &[&[3, 2]], |b, v| b.node("GatherND", v, plain())).with(arr2(&[[1i64], [1]])));
    rows.push(
        Case::new("GatherND", &[&[2, 3, 2]], |b, v| b.node("GatherND", v, plain().int("batch_dims", 1)))
            .with(arr2(&[[2i64], [1]]))
            .named("batch")
            .state(0, &[0]),
    );
    for reduction in ["none", "add"] {
        let at = if reduction == "none" { arr2(&[[2i64], [0]]) } else { arr2(&[[2i64], [2]]) };
        rows.push(
            Case::new("ScatterND", &[&[3, 2], &[2, 2]], move |b, v| {
                b.node("ScatterND", &[v[0], v[2], v[1]], plain().string("reduction", reduction))
            })
            .with(at)
            .named(reduction),
        );
    }
    rows
}

fn products() -> Vec<Case> {
    let mut rows = Vec::new();
    let shapes: [[&[usize]; 2]; 8] = [
        [&[2, 3], &[3, 2]],
        [&[3], &[3]],
        [&[3], &[3, 2]],
        [&[2, 3], &[3]],
        [&[2, 2, 3], &[3, 2]],
        [&[2, 3], &[2, 3, 1]],
        [&[2, 1, 2, 3], &[2, 3, 1]],
        [&[2, 2, 3], &[3]],
    ];
    for shapes in shapes {
        rows.push(Case::new("MatMul", &shapes, |b, v| b.node("MatMul", v, plain())));
    }
    for (turn_a, turn_b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let a: &[usize] = if turn_a == 1 { &[3, 2] } else { &[2, 3] };
        let c: &[usize] = if turn_b == 1 { &[4, 3] } else { &[3, 4] };
        let attributes = plain().int("transA", turn_a).int("transB", turn_b);
        for bias in [&[4][..], &[2, 1], &[], &[2, 4]] {
            let attributes = attributes.clone().float("alpha", 0.5).float("beta", 2.0);
            rows.push(Case::new("Gemm", &[a, c, bias], move |b, v| b.node("Gemm", v, attributes.clone())));
        }
        rows.push(Case::new("Gemm", &[a, c], move |b, v| b.node("Gemm", v, attributes.clone())));
    }
    rows.extend(einsums());
    rows.push(Case::new("Det", &[&[2, 3, 3]], |b, v| b.node("Det", v, plain())).state(0, &[1, 2]).single());
    rows.push(Case::new("Det", &[&[3, 3]], |b, v| b.node("Det", v, plain())).state(0, &[0, 1]).single());
    rows
}

fn einsums() -> Vec<Case> {
    let rows: [(&str, &[&[usize]]); 14] = [
        ("ij->ji", &[&[2, 3]]),
        ("ij->", &[&[2, 3]]),
        ("ij->j", &[&[2, 3]]),
        ("ij", &[&[2, 3]]),
        ("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        ("ij,jk", &[&[2, 3], &[3, 4]]),
        ("bhi, bhj -> bij", &[&[2, 3, 2], &[2, 3, 2]]),
        ("bijk,bkl->blij", &[&[2, 2, 1, 3], &[2, 3, 2]]),
        ("i,j->ij", &[&[2], &[3]]),
        ("i,i->", &[&[3], &[3]]),
        ("ij,ij->i", &[&[2, 3], &[2, 3]]),
        ("ijk,jkl->il", &[&[2, 3, 2], &[3, 2, 2]]),
        ("ij,kl->j", &[&[2, 3], &[2, 2]]),
        ("ij,jk,kl->il", &[&[2, 3], &[3, 2], &[2, 2]]),
    ];
    let case = |(equation, shapes): (&'static str, &'static [&'static [usize]])| {
        Case::new("Einsum", shapes, move |b, v| b.node("Einsum", v, plain().string("equation", equation)))
            .named(equation)
    };
    rows.into_iter().map(case).collect()
}

fn normalizations() -> Vec<Case> {
    let mut rows = Vec::new();
    for (axis, scale) in [(-1, &[4][..]), (2, &[4]), (1, &[3, 4])] {
        for bias in [true, false] {
            let case = Case::new("LayerNormalization", &[&[2, 3, 4], scale, scale], move |b, v| {
                let inputs = if bias { v } else { &v[..2] };
                b.node("LayerNormalization", inputs, plain().int("axis", axis).float("epsilon", 1e-3))
            });
            rows.push(case.named(&format!("axis {axis}")));
        }
    }
    for shape in [&[2, 3][..], &[2, 3, 2]] {
        let statistics: [&[usize]; 5] = [shape, &[3], &[3], &[3], &[3]];
        rows.push(
            Case::new("BatchNormalization", &statistics, |b, v| {
                b.node("BatchNormalization", v, plain().float("epsilon", 1e-3))
            })
            .range(0.5, 2.0),
        );
    }
    rows.push(
        Case::new("InstanceNormalization", &[&[2, 3, 4], &[3], &[3]], |b, v| {
            b.node("InstanceNormalization", v, plain().float("epsilon", 1e-2))
        })
        .single()
        .state(0, &[1])
        .state(1, &[0])
        .state(2, &[0]),
    );
    rows
}
