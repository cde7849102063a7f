//! Messages of the worker protocol, both ends (`plugin-api/PROTOCOL.md`).

use serde::Deserialize;
use serde_json::{Map, Value, json};
use temper_plugin_api::abi::RawOutcomes;
use temper_plugin_api::{Batch, Crystals, Descriptor, Outcome};

use crate::worker::{Frame, Limits};

/// The version of the protocol that is spoken here.
const PROTOCOL: u64 = 1;

/// The first message: what the host wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hello {
    /// Such as `reward/1`.
    pub interface: String,
    /// The term's config.
    pub config: Map<String, Value>,
}

impl Hello {
    pub fn to_frame(&self) -> Frame {
        let host = format!("temper {}", env!("CARGO_PKG_VERSION"));
        let (interface, config) = (&self.interface, &self.config);
        let header = json!({
            "type": "hello", "protocol": [PROTOCOL], "host": host, "interface": interface, "config": config,
        });
        Frame::new(object(header))
    }

    pub fn from_frame(frame: &Frame) -> Result<Self, String> {
        expect(frame, "hello")?;
        let versions = Vec::<u64>::deserialize(frame.header.get("protocol").unwrap_or(&Value::Null));
        let versions = versions.map_err(|e| format!("`protocol`: {e}"))?;
        if !versions.contains(&PROTOCOL) {
            return Err(format!(
                "the host speaks versions {versions:?} of the worker protocol, this worker version {PROTOCOL}"
            ));
        }
        let interface = frame.text("interface").ok_or("`interface` is missing")?.to_owned();
        let config = frame.header.get("config").cloned().map_or_else(Map::new, object);
        Ok(Self { interface, config })
    }
}

/// The worker is ready.
pub(super) fn ready(descriptor: &Descriptor) -> Frame {
    Frame::new(object(json!({"type": "ready", "protocol": PROTOCOL, "descriptor": descriptor})))
}

/// The batch as a whole has failed.
pub(super) fn failed(id: u64, message: &str) -> Frame {
    Frame::new(object(json!({"type": "failed", "id": id, "message": message})))
}

/// What a worker answers to [`Hello`]: what it is, or why it is not.
pub(super) fn greeting(frame: &Frame) -> Result<Result<Descriptor, String>, String> {
    if frame.kind() == "error" {
        return Ok(Err(frame.text("message").unwrap_or("it gave no reason").to_owned()));
    }
    expect(frame, "ready")?;
    match frame.header.get("protocol").and_then(Value::as_u64) {
        Some(PROTOCOL) => {}
        other => return Err(format!("it chose version {other:?} of the protocol, and was offered {PROTOCOL}")),
    }
    let descriptor = Descriptor::deserialize(frame.header.get("descriptor").unwrap_or(&Value::Null));
    descriptor.map(Ok).map_err(|e| format!("`descriptor`: {e}"))
}

/// Crystals to evaluate.
pub(super) fn batch(id: u64, batch: &Batch<'_>) -> Frame {
    let (crystals, atoms) = (batch.len(), batch.atomic_numbers().len());
    let mut frame = Frame::new(object(json!({"type": "batch", "id": id, "crystals": crystals})));
    frame.push("offsets", &[crystals + 1], batch.offsets().iter().map(|offset| *offset as i64));
    frame.push("atomic_numbers", &[atoms], batch.atomic_numbers().iter().copied());
    frame.push("fractional", &[atoms, 3], batch.fractional().as_flattened().iter().copied());
    frame.push("cartesian", &[atoms, 3], batch.cartesian().as_flattened().iter().copied());
    frame.push("lattices", &[crystals, 3, 3], batch.lattices().as_flattened().as_flattened().iter().copied());
    if batch.space_groups().len() == crystals {
        frame.push("space_groups", &[crystals], batch.space_groups().iter().copied());
        frame.push("wyckoff_letters", &[atoms], batch.wyckoff_letters().iter().copied());
    }
    if batch.energies().len() == crystals {
        frame.push("energies", &[crystals], batch.energies().iter().copied());
    }
    frame
}

/// The id and the crystals of a [`batch`].
pub(super) fn read_batch(frame: &Frame) -> Result<(u64, Crystals), String> {
    expect(frame, "batch")?;
    let number = |key: &str| frame.header.get(key).and_then(Value::as_u64).ok_or_else(|| format!("`{key}` is missing"));
    let (id, count) = (number("id")?, number("crystals")? as usize);
    let offsets = frame.array::<i64>("offsets", &[count + 1])?;
    let atoms = usize::try_from(*offsets.last().unwrap_or(&0)).map_err(|_| "offsets below 0")?;
    if offsets.first() != Some(&0) || offsets.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err("the offsets do not rise from 0".to_owned());
    }
    let numbers = frame.array::<u8>("atomic_numbers", &[atoms])?;
    let fractional = frame.array::<f64>("fractional", &[atoms, 3])?;
    let lattices = frame.array::<f64>("lattices", &[count, 3, 3])?;
    let (fractional, lattices) = (fractional.as_chunks::<3>().0, lattices.as_chunks::<3>().0.as_chunks::<3>().0);
    let mut crystals = Crystals::default();
    for (lattice, ends) in lattices.iter().zip(offsets.windows(2)) {
        let own = ends[0] as usize..ends[1] as usize;
        crystals.push(lattice, &numbers[own.clone()], &fractional[own]);
    }
    if frame.has("space_groups") {
        let groups = frame.array("space_groups", &[count])?;
        crystals.set_symmetry(groups, frame.array("wyckoff_letters", &[atoms])?);
    }
    if frame.has("energies") {
        crystals.set_energies(frame.array("energies", &[count])?);
    }
    Ok((id, crystals))
}

/// What came of a batch.
pub(super) fn outcomes(id: u64, outcomes: Vec<Outcome>) -> Frame {
    let raw = RawOutcomes::pack(outcomes);
    let reasons: Vec<&str> = raw.reasons.iter().map(|reason| reason.as_str()).collect();
    let mut frame = Frame::new(object(json!({"type": "outcomes", "id": id, "reasons": reasons})));
    frame.push("values", &[raw.values.len()], raw.values.iter().copied());
    frame.push("statuses", &[raw.statuses.len()], raw.statuses.iter().copied());
    frame
}

/// What a worker answered to a batch.
pub(super) enum Answer {
    /// One outcome per crystal.
    Outcomes(Vec<Outcome>),
    /// The whole batch failed.
    Failed(String),
}

/// How long an answer about so many crystals may be: room for values, reasons, and arrays of later versions.
pub(super) fn answer_limits(crystals: usize) -> Limits {
    let crystals = crystals as u64;
    Limits { header: (64 << 10) + (4 << 10) * crystals, body: (1 << 20) + 64 * crystals }
}

/// The answer to the batch `id` of `crystals` crystals.
pub(super) fn read_answer(frame: &Frame, id: u64, crystals: usize) -> Result<Answer, String> {
    let answered = frame.header.get("id").and_then(Value::as_u64);
    if answered != Some(id) {
        return Err(format!("it answered a {} with the id {answered:?} to the batch {id}", frame.kind()));
    }
    if frame.kind() == "failed" {
        return Ok(Answer::Failed(frame.text("message").unwrap_or("it gave no reason").to_owned()));
    }
    expect(frame, "outcomes")?;
    let reasons = Vec::<String>::deserialize(frame.header.get("reasons").unwrap_or(&json!([])));
    let raw = RawOutcomes {
        values: frame.array::<f64>("values", &[crystals])?.into(),
        statuses: frame.array::<u8>("statuses", &[crystals])?.into(),
        reasons: reasons.map_err(|e| format!("`reasons`: {e}"))?.into_iter().map(Into::into).collect(),
    };
    raw.unpack(crystals).map(Answer::Outcomes)
}

/// Reads a whole conversation from either side: a worker's greeting and answers to batches of so many crystals, or what a host
/// says to a worker. A host reads each frame when it has asked for it; this is for fuzzing.
///
/// # Errors
/// The first frame that is none, or may not come there.
pub fn read_conversation(mut bytes: &[u8], crystals: usize) -> Result<(), String> {
    let mut next = |most| match bytes.is_empty() {
        true => Ok(None),
        false => Frame::read(&mut bytes, most).map(Some).map_err(|error| error.to_string()),
    };
    let Some(first) = next(Limits::GREETING)? else { return Ok(()) };
    if Hello::from_frame(&first).is_ok() {
        while let Some(frame) = next(Limits::HOST)? {
            read_batch(&frame)?;
        }
        return Ok(());
    }
    greeting(&first)??;
    let mut id = 0;
    while let Some(frame) = next(answer_limits(crystals))? {
        id += 1;
        read_answer(&frame, id, crystals)?;
    }
    Ok(())
}

fn expect(frame: &Frame, kind: &str) -> Result<(), String> {
    match frame.kind() {
        found if found == kind => Ok(()),
        found => Err(format!("a message of type {found:?} where {kind:?} must come")),
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crystals() -> Crystals {
        let mut crystals = Crystals::default();
        crystals.push(&[[3.0, 0.0, 0.0], [0.5, 3.0, 0.0], [0.0, 0.0, 4.0]], &[26], &[[0.25, 0.5, 0.75]]);
        crystals.push(&[[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]], &[11, 17], &[[0.0; 3], [0.5; 3]]);
        crystals
    }

    #[test]
    fn batches_arrive_as_they_left() {
        let mut sent = crystals();
        sent.set_symmetry(vec![2, 221], vec![b'a', b'a', b'b']);
        sent.set_energies(vec![-8.5, f64::NAN]);
        let (id, came) = read_batch(&batch(3, &sent.batch())).unwrap();
        assert_eq!(id, 3);
        let pairs = sent.batch().crystals().zip(came.batch().crystals()).collect::<Vec<_>>();
        assert_eq!(pairs.len(), 2);
        assert!(pairs.iter().all(|(a, b)| a == b), "{pairs:?}");
        assert_eq!(read_batch(&batch(4, &Crystals::default().batch())).unwrap().1.batch().len(), 0);
    }

    #[test]
    fn answers_must_fit_their_batch() {
        let given = vec![Outcome::Value(1.0), Outcome::failed("too hot")];
        let frame = outcomes(5, given.clone());
        let Ok(Answer::Outcomes(read)) = read_answer(&frame, 5, 2) else { panic!("an answer") };
        assert_eq!(read, given);
        let refused = |frame: &Frame, id, crystals| read_answer(frame, id, crystals).err().unwrap();
        assert_eq!(refused(&frame, 6, 2), "it answered a outcomes with the id Some(5) to the batch 6");
        assert_eq!(refused(&frame, 5, 3), "`values` is f64 [2], not f64 [3]");
    }

    #[test]
    fn versions_are_negotiated() {
        let hello = Hello { interface: "reward/1".into(), config: Map::new() };
        assert_eq!(Hello::from_frame(&hello.to_frame()), Ok(hello.clone()));
        let mut later = hello.to_frame();
        later.header.insert("protocol".into(), json!([2, 3]));
        let expected = "the host speaks versions [2, 3] of the worker protocol, this worker version 1";
        assert_eq!(Hello::from_frame(&later), Err(expected.to_owned()));
    }
}
