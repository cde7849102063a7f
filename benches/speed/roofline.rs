//! What the policy's arithmetic is, and how much of the machine's it gets.
//!
//! A token passes every layer once: queries and keys 2 D HK each way, scores and mixing with T/2 earlier tokens on average when
//! it is decoded, with all T of its group when a whole crystal is scored, the output H D D, the feed-forward block 8 D D; and
//! the output layer D O. A multiplication and an addition are two operations. A gradient is three times the forward pass.

use temper::policy::Hyperparameters;

use super::Stage;
use super::measure::Measured;

/// Floating-point operations of one crystal of `sites` sites, scored as a whole or decoded token by token.
fn operations(hyper: &Hyperparameters, sites: f64, decoded: bool) -> f64 {
    let [heads, key, width] = [hyper.num_heads, hyper.key_size, hyper.model_size].map(|n| n as f64);
    let tokens = 5.0 * sites + 1.0;
    let seen = if decoded { tokens / 2.0 } else { tokens };
    let products = 2.0 * width * heads * key + heads * width * width + 8.0 * width * width;
    let attention = seen * heads * (key + width);
    let layers = hyper.num_layers as f64 * (products + attention);
    2.0 * tokens * (layers + width * hyper.output_size() as f64)
}

/// Bytes of the caches of a crystal that are read while it is decoded: every token reads all before it.
fn cache_bytes(hyper: &Hyperparameters, sites: f64) -> f64 {
    let [heads, key, width] = [hyper.num_heads, hyper.key_size, hyper.model_size].map(|n| n as f64);
    let tokens = 5.0 * sites + 1.0;
    let token = 4.0 * hyper.num_layers as f64 * (heads * key + width);
    token * tokens * tokens / 2.0
}

/// A table of the policy's stages against the machine's peaks, where those were measured.
pub fn table(rows: &[(&Stage, Measured)], sites: f64) -> Option<String> {
    let rate = |name: &str| rows.iter().find(|(s, _)| s.name == name).map(|(_, m)| 1.0 / m.wall_per_item());
    let (square, shape, copy) = (rate("square")?, rate("shape")?, rate("copy")?);
    let hyper = Hyperparameters::paper();
    let forward = operations(&hyper, sites, false) / 1e9;
    let decoded = operations(&hyper, sites, true) / 1e9;
    let mut text = format!(
        "Roofline: products of {square:.0} GFLOP/s at most, {shape:.0} in the policy's own shape; copies of {copy:.1} GB/s.\n\
         | stage | GFLOP a crystal | GFLOP/s | of the peak | of the peak in its shape |\n|---|---|---|---|---|"
    );
    for (name, work) in [("sample", decoded), ("logp", forward), ("gradient", 3.0 * forward)] {
        let reached = work * rate(name)?;
        let (peak, own) = (100.0 * reached / square, 100.0 * reached / shape);
        text += &format!("\n| {name} | {work:.3} | {reached:.0} | {peak:.0} % | {own:.0} % |");
    }
    let bytes = cache_bytes(&hyper, sites) / 1e9;
    let moved = bytes * rate("sample")?;
    let share = 100.0 * moved / copy;
    Some(
        text + &format!(
            "\nDecoding reads {:.3} GB of caches a crystal: {moved:.1} GB/s, {share:.0} % of what can be copied.",
            bytes
        ),
    )
}
