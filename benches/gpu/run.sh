#!/usr/bin/env bash
# Runs what pack.sh packed, on a machine with a GPU, CUDA 13 and cuDNN 9; needs no network.
#
#     benches/gpu/run.sh FOLDER OUT                 # from a copy of the repository: its models are used
#
# OUT receives gpu.json and gpu.md, which are written anew after every stage. CUDA's libraries are looked for where the system
# has them and in Python's packages of NVIDIA.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
pack=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$pack/." "$work"
chmod -R u+w "$work"
find "$work" -name '*.xz' -print0 | xargs -0 -P 4 -n 1 unxz
chmod +x "$work/temper" "$work/gpu"

libraries=$(python3 -c 'import glob, sys
print(":".join(folder for path in sys.path for folder in glob.glob(path + "/nvidia/*/lib")))' 2>/dev/null || true)
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export ORT_DYLIB_PATH=$work/libonnxruntime.so
export TEMPER_BINARY=$work/temper TEMPER_SHARED=$work/shared CARGO_MANIFEST_DIR=$repository/host
export TEMPER_BENCH_DEVICE=${TEMPER_BENCH_DEVICE:-cuda}
"$work/gpu" "$out" "${@:3}"
