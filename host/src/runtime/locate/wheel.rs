//! The pinned wheels, one for each platform and build.
//!
//! ONNX Runtime 1.28.0 is the last release whose Linux library carries no telemetry client. The wheels are Python packages, but
//! the libraries inside know nothing of Python: one interpreter tag per platform is pinned, whatever Python is installed.

/// The pinned release.
pub(super) const VERSION: &str = "1.28.0";

/// Which build of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    Cpu,
    Cuda,
}

impl Build {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

/// A file of a wheel that is kept.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// File name, the same in the wheel and in the cache.
    pub(super) file: &'a str,
    /// Length in bytes.
    pub(super) bytes: u64,
    /// SHA-256, in lower-case hexadecimal.
    pub(super) sha256: &'a str,
}

/// A wheel, and what is taken from it.
#[derive(Debug)]
pub(super) struct Wheel<'a> {
    pub(super) os: &'a str,
    pub(super) arch: &'a str,
    pub(super) build: Build,
    /// Name of the package.
    pub(super) package: &'a str,
    /// Its version.
    pub(super) version: &'a str,
    /// The folder inside of it that holds the members.
    pub(super) inside: &'a str,
    /// Platform tag by which pip selects it.
    pub(super) platform: &'a str,
    /// File name.
    pub(super) file: &'a str,
    /// Length in bytes.
    pub(super) bytes: u64,
    /// SHA-256, in lower-case hexadecimal.
    pub(super) sha256: &'a str,
    /// The library first, then what it loads from beside itself.
    pub(super) members: &'a [Member<'a>],
}

/// The wheel of `build` for the machine that this program was built for, if there is one.
pub(super) fn pinned(build: Build) -> Option<&'static Wheel<'static>> {
    // The wheels are linked against glibc.
    if cfg!(target_env = "musl") {
        return None;
    }
    let here = |wheel: &&Wheel<'_>| wheel.os == std::env::consts::OS && wheel.arch == std::env::consts::ARCH;
    WHEELS.iter().find(|wheel| here(wheel) && wheel.build == build)
}

/// The wheels with what the CUDA build needs of CUDA besides the driver, in the order in which they are loaded; none where they
/// are not known. Of CUDA 13.0, so that every driver that runs CUDA 13 takes them.
pub(super) fn cuda_libraries() -> &'static [Wheel<'static>] {
    let here = std::env::consts::OS == "linux" && std::env::consts::ARCH == "x86_64" && pinned(Build::Cuda).is_some();
    if here { &CUDA_LIBRARIES } else { &[] }
}

/// As published in the Python package index. There is none for macOS on x86-64 in this release.
static WHEELS: [Wheel<'static>; 7] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        build: Build::Cpu,
        package: "onnxruntime",
        version: VERSION,
        inside: "onnxruntime/capi",
        platform: "manylinux_2_28_x86_64",
        file: "onnxruntime-1.28.0-cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        bytes: 19_214_329,
        sha256: "54fa221d669282bd8f582708ce4c96010a7e9fb0661f9006b37fe2fedafb73fe",
        members: &[Member {
            file: "libonnxruntime.so.1.28.0",
            bytes: 24_272_944,
            sha256: "aa4079d18f4ea7a5f3a94d80cd4bbe0f2740436626622d64d793803a20381083",
        }],
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        build: Build::Cpu,
        package: "onnxruntime",
        version: VERSION,
        inside: "onnxruntime/capi",
        platform: "manylinux_2_28_aarch64",
        file: "onnxruntime-1.28.0-cp313-cp313-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        bytes: 17_049_339,
        sha256: "f649dd6f6452d12a8059888aa489fe519e062e18793dac72b9efa0f9fdb64135",
        members: &[Member {
            file: "libonnxruntime.so.1.28.0",
            bytes: 20_657_248,
            sha256: "23a37c2994bc273e1d59a4f49af6cba5bf1cfbc29f04907ec27df375aba50a7d",
        }],
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        build: Build::Cpu,
        package: "onnxruntime",
        version: VERSION,
        inside: "onnxruntime/capi",
        platform: "macosx_14_0_arm64",
        file: "onnxruntime-1.28.0-cp313-cp313-macosx_14_0_arm64.whl",
        bytes: 19_141_759,
        sha256: "31410f544674f534c2f27348af52ef81682ca9c8719154bf4d48f0ef23823b1e",
        members: &[Member {
            file: "libonnxruntime.1.28.0.dylib",
            bytes: 30_509_592,
            sha256: "bb37d233002cf57b52ae315e3f00904d0e6d6261da27809372ee0e27ec9046fd",
        }],
    },
    Wheel {
        os: "windows",
        arch: "x86_64",
        build: Build::Cpu,
        package: "onnxruntime",
        version: VERSION,
        inside: "onnxruntime/capi",
        platform: "win_amd64",
        file: "onnxruntime-1.28.0-cp313-cp313-win_amd64.whl",
        bytes: 13_755_033,
        sha256: "1a1a19175464665c9b8d50bc916f216cc0b569110045b7bbca8f9f290b186f58",
        members: &[Member {
            file: "onnxruntime.dll",
            bytes: 17_766_712,
            sha256: "e23e1d0cef90ba2f10f48056fb8276b11c7fc714d1295aa4423c5ecd7a77a013",
        }],
    },
    Wheel {
        os: "windows",
        arch: "aarch64",
        build: Build::Cpu,
        package: "onnxruntime",
        version: VERSION,
        inside: "onnxruntime/capi",
        platform: "win_arm64",
        file: "onnxruntime-1.28.0-cp313-cp313-win_arm64.whl",
        bytes: 13_454_175,
        sha256: "cfab507abe09d6ffeb817eee07944d452fdc0b00fdcef34cab4db10a45e378c7",
        members: &[Member {
            file: "onnxruntime.dll",
            bytes: 17_510_752,
            sha256: "080cb4b705c34afc4abdfda507b343f6856f09bdb0711080d2a17092b70192d0",
        }],
    },
    Wheel {
        os: "linux",
        arch: "x86_64",
        build: Build::Cuda,
        package: "onnxruntime-gpu",
        version: VERSION,
        inside: "onnxruntime/capi",
        platform: "manylinux_2_28_x86_64",
        file: "onnxruntime_gpu-1.28.0-cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        bytes: 249_767_387,
        sha256: "27011ca9f5f88ba09dfb3d1d83b877d61cabb9069d796136d69d83fe1018e6a4",
        members: &[
            Member {
                file: "libonnxruntime.so.1.28.0",
                bytes: 24_350_768,
                sha256: "018d05f615e96f6e0cfb95d2865f63915681d5d2688dd187f599822b245d27bc",
            },
            Member {
                file: "libonnxruntime_providers_cuda.so",
                bytes: 279_770_920,
                sha256: "e9ecc0702543a1951d37a8fba9b74b70a55d042b3f2e35b1b13f3b12690c976b",
            },
            Member {
                file: "libonnxruntime_providers_shared.so",
                bytes: 14_632,
                sha256: "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
            },
        ],
    },
    Wheel {
        os: "windows",
        arch: "x86_64",
        build: Build::Cuda,
        package: "onnxruntime-gpu",
        version: VERSION,
        inside: "onnxruntime/capi",
        platform: "win_amd64",
        file: "onnxruntime_gpu-1.28.0-cp313-cp313-win_amd64.whl",
        bytes: 241_464_688,
        sha256: "4c89b8c192864582e04eb4b43574648f185bfd00fc754c3f085fd04d0cd81bc2",
        members: &[
            Member {
                file: "onnxruntime.dll",
                bytes: 17_386_336,
                sha256: "8ad4d61d535ee55d3a831da86756510a26c2201ebc3c6c478e58c1f733c926cd",
            },
            Member {
                file: "onnxruntime_providers_cuda.dll",
                bytes: 265_188_704,
                sha256: "8faed81e220beba249457b58762ce04827966944c88b941cea3cf231e48ca37e",
            },
            Member {
                file: "onnxruntime_providers_shared.dll",
                bytes: 21_816,
                sha256: "b6c1d46dee2f194e4af28c060155d406282ca6f6264f1d5314778e1c92156c5b",
            },
        ],
    },
];

/// As published by NVIDIA in the Python package index.
static CUDA_LIBRARIES: [Wheel<'static>; 3] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        build: Build::Cuda,
        package: "nvidia-cuda-runtime",
        version: "13.0.96",
        inside: "nvidia/cu13/lib",
        platform: "manylinux2014_x86_64",
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        bytes: 2_243_632,
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        members: &[Member {
            file: "libcudart.so.13",
            bytes: 704_288,
            sha256: "96c42e418cec19054186b9429c321603cc190bf26a18104e19408117a2a817b0",
        }],
    },
    Wheel {
        os: "linux",
        arch: "x86_64",
        build: Build::Cuda,
        package: "nvidia-cublas",
        version: "13.0.2.14",
        inside: "nvidia/cu13/lib",
        platform: "manylinux_2_27_x86_64",
        file: "nvidia_cublas-13.0.2.14-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 420_882_912,
        sha256: "0cf238ffdbe46c00cb9aa98e7bca745c223a5ca5a53e686ac8b3e5a08fe80d6c",
        members: &[
            Member {
                file: "libcublasLt.so.13",
                bytes: 539_533_072,
                sha256: "4c15f403ac2a8040a3291d07f6c351b5c1f730b45f2ea41f302e415e9600655b",
            },
            Member {
                file: "libcublas.so.13",
                bytes: 54_440_120,
                sha256: "1d5f1452af53a0b1cf36bc7d8116d2a22a5f2cffbaa8fca25a1b70360a2e8d7a",
            },
        ],
    },
    Wheel {
        os: "linux",
        arch: "x86_64",
        build: Build::Cuda,
        package: "nvidia-curand",
        version: "10.4.0.35",
        inside: "nvidia/cu13/lib",
        platform: "manylinux_2_27_x86_64",
        file: "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl",
        bytes: 59_544_258,
        sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
        members: &[Member {
            file: "libcurand.so.10",
            bytes: 132_698_328,
            sha256: "b53732a66b302b11926e00f762e2c2ba67058347ff93cf4ae709de45e93e06da",
        }],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        let hexadecimal = |text: &str| {
            text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        for wheel in &WHEELS {
            assert!(hexadecimal(wheel.sha256) && wheel.members.iter().all(|member| hexadecimal(member.sha256)));
            assert!(wheel.file.starts_with(&format!("{}-{VERSION}-cp313-cp313-", wheel.package.replace('-', "_"))));
            assert!(wheel.file.contains(wheel.platform) && wheel.file.ends_with(".whl"));
            let cuda = wheel.members.iter().any(|member| member.file.contains("providers_cuda"));
            assert_eq!(cuda, wheel.build == Build::Cuda);
            assert!(!wheel.members[0].file.contains("providers"));
        }
        for wheel in &CUDA_LIBRARIES {
            assert!(hexadecimal(wheel.sha256) && wheel.members.iter().all(|member| hexadecimal(member.sha256)));
            assert!(wheel.file.starts_with(&format!("{}-{}-py3-", wheel.package.replace('-', "_"), wheel.version)));
            assert!(wheel.file.contains(wheel.platform) && wheel.file.ends_with(".whl"));
        }
        let keys = WHEELS.iter().map(|wheel| (wheel.os, wheel.arch, wheel.build.name()));
        assert_eq!(keys.collect::<std::collections::HashSet<_>>().len(), WHEELS.len());
    }
}
