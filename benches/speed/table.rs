//! The table.

use super::crystals::mean_sites;
use super::measure::{Effort, Measured};
use super::{Peer, Stage, roofline};

/// One line per stage; after a full measurement also what a step of batch 1000 would take, and the roofline.
pub fn print(rows: &[(&Stage, Measured)], effort: Effort) {
    println!(
        "| stage | ours /s | wall ms | CPU ms | peak GB | peer's figure /s | CPU ms | times faster (CPU) | target | on |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (stage, measured) in rows {
        println!("{}", line(stage, measured));
    }
    if effort == Effort::Once {
        return;
    }
    for text in [step(rows), roofline::table(rows, mean_sites())].into_iter().flatten() {
        println!("\n{text}");
    }
}

fn line(stage: &Stage, measured: &Measured) -> String {
    let (wall, cpu) = (measured.wall_per_item(), measured.cpu_per_item());
    let peer = stage.peer.as_ref().map_or("| | | |".into(), |peer: &Peer| {
        format!(
            "{} {} | {} | {:.1} ({:.1}) | {} |",
            peer.what,
            peer.rate,
            peer.cpu_ms,
            1.0 / wall / peer.rate,
            peer.cpu_ms / (1e3 * cpu),
            peer.target
        )
    });
    let (rate, wall, cpu, peak) = (1.0 / wall, 1e3 * wall, 1e3 * cpu, measured.peak as f64 / 1e9);
    format!("| {} | {rate:.1} | {wall:.3} | {cpu:.3} | {peak:.2} | {peer} {} |", stage.what, measured.on)
}

/// The sum of the stages, where all that it needs were measured.
fn step(rows: &[(&Stage, Measured)]) -> Option<String> {
    let wall = |name: &str| rows.iter().find(|(stage, _)| stage.name == name).map(|(_, m)| m.wall_per_item());
    let cores = super::crystals::cores() as f64;
    let adam = 3.0 * wall("adam")?;
    // Part of the energies' time is their neighbour lists.
    let tables = 1000.0 * (wall("lists")? + wall("decode")? + wall("hull")?) / cores;
    let energies = 1000.0 * (wall("energy")? - wall("lists")?) / cores;
    let policy = 1000.0 * (wall("sample")? + 2.0 * wall("logp")? + 3.0 * wall("gradient")?);
    let total = policy + adam + energies + tables;
    let share = |part: f64| 100.0 * part / total;
    Some(format!(
        "A step of batch 1000 on {cores} cores, as the sum of these figures: {total:.0} s (the paper's two A100: about 216 s). \
         Policy {:.1} %, energies {:.1} %, Adam and clipping {:.2} %, neighbour lists, decoding and hull {:.2} %.",
        share(policy),
        share(energies),
        share(adam),
        share(tables)
    ))
}
