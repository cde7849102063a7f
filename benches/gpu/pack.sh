#!/usr/bin/env bash
# Packs what run.sh needs into one folder of under 60 MB that can be carried to a machine without a network.
#
#     benches/gpu/pack.sh FOLDER [ARCHITECTURE]     # of the GPU: 90 for H100 and H200
#
# Needs cargo, python3 with pip, and the folder `shared` beside the repository (or TEMPER_SHARED) with its script that makes a
# small copy of ONNX Runtime's CUDA provider.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
shared=${TEMPER_SHARED:-$repository/../shared}
out=$1
architecture=${2:-90}
cd "$repository"
mkdir -p "$out"

cargo build --locked --release --bin temper
bench=$(cargo bench --locked --no-run --bench gpu --message-format=json |
    python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line) if line.startswith("{") else {}
    if message.get("target", {}).get("name") == "gpu" and message.get("executable"):
        print(message["executable"])')
strip -o "$out/temper" target/release/temper
strip -o "$out/gpu" "$bench"
xz -f "$out/temper" "$out/gpu"

[ -f "$out/libonnxruntime.so.xz" ] || python3 "$shared/tools/slim_cuda_provider.py" "$out" --arch "$architecture"

golden=$out/shared/golden
mkdir -p "$golden/crystalformer/tiny"
for file in meta.json f32_deviation.json params.safetensors batch.safetensors outputs.safetensors grad_nll.safetensors grad_ppo.safetensors; do
    cp -f "$shared/golden/crystalformer/tiny/$file" "$golden/crystalformer/tiny/"
done
xz -c "$shared/golden/mlip.dev.jsonl" > "$golden/mlip.dev.jsonl.xz"
du -sh "$out"
