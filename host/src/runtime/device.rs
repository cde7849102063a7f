//! Where a graph runs.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// The device a user asks for: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// CUDA if the loaded library has it and it works, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this index; never replaced by another.
    Cuda(u32),
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownDevice { given: text.to_owned() };
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
                // ONNX Runtime takes the index as a C int.
                let index = index.parse().ok().filter(|&n: &u32| digits && n <= i32::MAX as u32);
                index.map(Self::Cuda).ok_or_else(unknown)
            }
        }
    }
}

impl Device {
    /// The device of a process that shares its node with others: where the first CUDA device is meant, each takes the next.
    pub fn of_place(self, place: usize) -> Self {
        match self {
            Self::Cuda(0) => Self::Cuda((place % cuda_devices().max(1)) as u32),
            device => device,
        }
    }

    /// `CUDA_VISIBLE_DEVICES` for a program that shall see this device alone; `None` for [`Device::Auto`]. Where this process does not
    /// see all devices itself, the index counts those that it sees.
    pub fn visible(self) -> Option<String> {
        let seen = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
        self.visible_among(&seen)
    }

    fn visible_among(self, seen: &str) -> Option<String> {
        match self {
            Self::Auto => None,
            Self::Cpu => Some(String::new()),
            Self::Cuda(index) => {
                let mut seen = seen.split(',').map(str::trim).filter(|device| !device.is_empty());
                Some(seen.nth(index as usize).map_or_else(|| index.to_string(), str::to_owned))
            }
        }
    }

    /// Whether the same graph gives the same bytes again for the same inputs. On CUDA scatters add atomically, and sums are taken in
    /// any order: deterministic ones would make gradients take three times as long.
    pub fn is_deterministic(self) -> bool {
        matches!(self, Self::Cpu)
    }

    /// What kind of device it is, whichever of its kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }
}

/// How many CUDA devices this process sees.
fn cuda_devices() -> usize {
    match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(list) => list.split(',').filter(|device| !device.trim().is_empty()).count(),
        Err(_) => {
            let files = std::fs::read_dir("/dev").into_iter().flatten().flatten();
            let is_device = |name: &str| name.strip_prefix("nvidia").is_some_and(|n| n.parse::<u32>().is_ok());
            files.filter(|file| is_device(&file.file_name().to_string_lossy())).count()
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_counted_among_those_that_are_seen() {
        let visible = |device: Device, seen| device.visible_among(seen);
        assert_eq!(visible(Device::Cuda(1), "").as_deref(), Some("1"));
        assert_eq!(visible(Device::Cuda(1), "3, GPU-8932f937").as_deref(), Some("GPU-8932f937"));
        assert_eq!(visible(Device::Cpu, "3").as_deref(), Some(""));
        assert_eq!(visible(Device::Auto, "3"), None);
    }

    #[test]
    fn every_spelling_is_read_and_written_back() {
        for (text, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda(0)),
            ("cuda:1", Device::Cuda(1)),
            ("cuda:12", Device::Cuda(12)),
        ] {
            assert_eq!(text.parse::<Device>().unwrap(), device);
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda:0".parse::<Device>().unwrap(), Device::Cuda(0));
    }

    #[test]
    fn anything_else_is_refused_with_the_choices() {
        for text in ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:+1", "cuda:1.0", "cuda:4294967296", "cuda 0"] {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert_eq!(error, format!("unknown device `{text}`"));
        }
    }
}
