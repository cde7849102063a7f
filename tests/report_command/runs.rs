//! Runs that never ran: directories with numbers that are known.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// What a run is made up of.
#[derive(Clone, Copy)]
pub struct MadeUp {
    pub seed: u64,
    pub steps: u64,
    pub kl_weight: f64,
    pub samples: &'static str,
}

impl Default for MadeUp {
    fn default() -> Self {
        Self { seed: 1, steps: 12, kl_weight: 0.25, samples: "all" }
    }
}

/// Writes the directory of a run.
pub fn make_up(run: &Path, MadeUp { seed, steps, kl_weight, samples: kept }: MadeUp) {
    fs::create_dir_all(run.join("samples")).unwrap();
    let config = format!(
        "objective = \"-e_hull\"\n[run]\nsteps = 12\nseed = {seed}\n[ppo]\nkl_weight = {kl_weight}\n\
         [record]\nsamples = \"{kept}\"\n[rewards.e_hull.hull]\nreference = \"x.hull\"\n[pareto.terms]\ngap = \"max\"\neps = \"max\"\n"
    );
    fs::write(run.join("run.toml"), config).unwrap();
    fs::write(run.join("lock.json"), r#"{"program":"0.1.0","config":"0123abcd"}"#).unwrap();
    let lines: String = (1..=steps).map(|step| format!("{}\n", metrics(step, seed))).collect();
    fs::write(run.join("metrics.jsonl"), lines).unwrap();
    for step in 1..=steps {
        fs::write(run.join(format!("samples/step-{step}.jsonl")), samples(step)).unwrap();
    }
    fs::write(run.join("candidates.extxyz"), CANDIDATES).unwrap();
}

fn metrics(step: u64, seed: u64) -> Value {
    let s = step as f64;
    let term = |mean: f64| json!({"mean": mean, "spread": 0.1, "values": 19, "abstained": 0, "failures": {"atoms too close": 1}});
    let judged = step.is_multiple_of(3);
    json!({
        "step": step, "objective_mean": -0.5 + 0.01 * s + 0.1 * seed as f64, "kl": 0.1 * s, "entropy": 20.0 - 0.1 * s,
        "stable_fraction": (step + seed) as f64 / 20.0, "unique_formulas": 1.0, "failed_fraction": 0.05, "clip_fraction": 0.2,
        "funnel": [{"stage": "sampled", "rows": 20}, {"stage": "scored", "rows": 19}],
        "terms": {"e_hull": term(0.5 - 0.01 * s)},
        "judge": judged.then(|| json!({"e_hull": term(0.6 - 0.01 * s)})),
        "judge_gap": judged.then_some(0.1), "judge_gap_spread": judged.then_some(0.02),
        "time": {"sample": 2.0, "reward": 3.0, "likelihood": 0.5, "gradient": 1.0, "optimiser": 0.1, "step": 7.0},
    })
}

/// Four rows: two stable rock salts, one that is not, and one that became no crystal.
fn samples(step: u64) -> String {
    let tokens = |group: u8| {
        json!({"spacegroup": group, "lattice": [2.8, 2.8, 2.8, 1.57, 1.57, 1.57],
        "sites": [{"w": 1, "a": "Na", "xyz": [0.0, 0.0, 0.0]}]})
    };
    let salt = |row: usize, element: &str, e_hull: f64| {
        json!({"id": format!("step-{step}-{row}"), "tokens": tokens(225), "lattice": [[5.6, 0, 0], [0, 5.6, 0], [0, 0, 5.6]],
            "species": [element, "Cl"], "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]], "e_hull": e_hull,
            "gap": 1.0 + row as f64, "eps": 5.0 + 0.1 * step as f64, "objective": -e_hull})
    };
    let refused = json!({"id": "r", "tokens": tokens(1), "refused": "too small", "e_hull": {"failed": "no structure"},
        "gap": {"failed": "no structure"}, "eps": {"failed": "no structure"}, "objective": -9.0});
    [salt(0, "Na", 0.01), salt(1, "Na", 0.05), salt(2, "K", 0.3), refused].map(|row| format!("{row}\n")).concat()
}

const CANDIDATES: &str = r#"2
Lattice="5.6 0 0 0 5.6 0 0 0 5.6" Properties=species:S:1:pos:R:3 pbc="T T T" id="step-7-0" formula="NaCl" spacegroup=225 objective=0.5 gap=3.0 eps=6.0
Na 0 0 0
Cl 2.8 2.8 2.8
"#;

/// The folder of an evaluation.
pub fn evaluation(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let share = |count: usize| json!({"count": count, "of": 8, "value": count as f64 / 8.0, "interval": [0.0, 1.0]});
    let histogram = json!({"from": -0.5, "width": 0.02, "counts": [0, 3, 2], "below": 0, "above": 1, "without": 2,
        "median": 0.2, "mean": 0.3});
    let metrics = json!({
        "protocol_id": "abc", "protocol": {"metastable": 0.1}, "metrics": {"stable": share(1), "metastable": share(2)},
        "e_hull": histogram, "space_groups": {"225": {"metastable": share(2)}}, "two_per_system": [225],
    });
    fs::write(folder.join("metrics.json"), metrics.to_string()).unwrap();
}

pub const HOSTILE: &str = "</pre><script>alert('x')</script><img src=x onerror=alert(1)>\"& $\\frac{a}";

/// A run whose texts are all somebody else's, and whose numbers are absurd.
pub fn hostile_run(run: &Path) {
    make_up(run, MadeUp { steps: 3, ..MadeUp::default() });
    let key = json!(HOSTILE).to_string();
    let config = format!(
        "# {HOSTILE}\nobjective = {key}\n[run]\nsteps = 12\nseed = 3\n[rewards.{key}.hull]\n[pareto.terms]\n{key} = \"max\"\neps = \"max\"\n"
    );
    fs::write(run.join("run.toml"), config).unwrap();
    fs::write(run.join("lock.json"), json!({ HOSTILE: HOSTILE }).to_string()).unwrap();
    let rename = |file: &str, key: &str| {
        let text = fs::read_to_string(run.join(file)).unwrap();
        fs::write(run.join(file), text.replace(key, json!(HOSTILE).to_string().trim_matches('"'))).unwrap();
    };
    rename("metrics.jsonl", "e_hull");
    rename("metrics.jsonl", "atoms too close");
    rename("metrics.jsonl", "scored");
    (1..=3).for_each(|step| rename(&format!("samples/step-{step}.jsonl"), "gap"));
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    fs::write(
        run.join("metrics.jsonl"),
        text.replace("\"kl\":0.2", "\"kl\":1e300").replace("\"step\":7.0", "\"step\":-1e308"),
    )
    .unwrap();
    let formula = "<script>alert(1)</script>\u{1b}";
    let candidates = CANDIDATES
        .replace("NaCl", formula)
        .replace("step-7-0", "<img src=x>")
        .replace("5.6 0 0 0 5.6", "1e4 0 0 0 1e-1");
    fs::write(run.join("candidates.extxyz"), candidates).unwrap();
}
