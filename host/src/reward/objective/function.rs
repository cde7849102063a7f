//! The functions that an objective may call.

/// A function of the expression language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `min(a, b, ...)`: the smallest of two or more.
    Min,
    /// `max(a, b, ...)`: the largest of two or more.
    Max,
    /// `clamp(x, low, high)`: x, at least `low` and at most `high` (`high` wins when they cross).
    Clamp,
    /// `exp(x)`.
    Exp,
    /// `log(x)`: natural logarithm.
    Log,
    /// `sqrt(x)`.
    Sqrt,
    /// `abs(x)`.
    Abs,
    /// `relu(x)`: max(x, 0).
    Relu,
    /// `sigmoid(x)`: 1 / (1 + exp(-x)).
    Sigmoid,
    /// `gauss(x, centre, width)`: exp(-((x - centre) / width)^2 / 2), 1 at the centre; `width` is the standard deviation.
    Gauss,
    /// `step(x, threshold)`: 1 where x >= threshold, else 0.
    Step,
}

impl Function {
    pub(super) const ALL: [(&'static str, Self); 11] = [
        ("min", Self::Min),
        ("max", Self::Max),
        ("clamp", Self::Clamp),
        ("exp", Self::Exp),
        ("log", Self::Log),
        ("sqrt", Self::Sqrt),
        ("abs", Self::Abs),
        ("relu", Self::Relu),
        ("sigmoid", Self::Sigmoid),
        ("gauss", Self::Gauss),
        ("step", Self::Step),
    ];

    pub(super) fn arity(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Min | Self::Max => 2..=usize::MAX,
            Self::Clamp | Self::Gauss => 3..=3,
            Self::Step => 2..=2,
            _ => 1..=1,
        }
    }

    pub(super) fn signature(self) -> &'static str {
        match self {
            Self::Min => "min(a, b, ...)",
            Self::Max => "max(a, b, ...)",
            Self::Clamp => "clamp(x, low, high)",
            Self::Exp => "exp(x)",
            Self::Log => "log(x)",
            Self::Sqrt => "sqrt(x)",
            Self::Abs => "abs(x)",
            Self::Relu => "relu(x)",
            Self::Sigmoid => "sigmoid(x)",
            Self::Gauss => "gauss(x, centre, width)",
            Self::Step => "step(x, threshold)",
        }
    }

    /// The value; `x` has as many entries as [`Function::arity`] allows, all finite.
    pub(super) fn apply(self, x: &[f64]) -> f64 {
        match (self, x) {
            (Self::Min, x) => x.iter().copied().fold(f64::INFINITY, f64::min),
            (Self::Max, x) => x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            (Self::Clamp, [x, low, high]) => x.max(*low).min(*high),
            (Self::Exp, [x]) => x.exp(),
            (Self::Log, [x]) => x.ln(),
            (Self::Sqrt, [x]) => x.sqrt(),
            (Self::Abs, [x]) => x.abs(),
            (Self::Relu, [x]) => x.max(0.0),
            (Self::Sigmoid, [x]) => 1.0 / (1.0 + (-x).exp()),
            (Self::Gauss, [x, centre, width]) => (-0.5 * ((x - centre) / width).powi(2)).exp(),
            (Self::Step, [x, threshold]) => f64::from(u8::from(x >= threshold)),
            _ => f64::NAN,
        }
    }
}
