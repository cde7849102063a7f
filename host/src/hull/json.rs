//! pymatgen's ComputedEntry dictionaries, streamed out of a JSON document.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::Entry;
use super::rows::Sink;
use crate::crystal::{Composition, Element};

/// Reads every entry of a document (its shapes: [`super::read_entries`]). Only a broken document is an error.
pub(super) fn read_json(document: impl Read, sink: Sink<'_>) -> Result<(), serde_json::Error> {
    let mut document = serde_json::Deserializer::from_reader(document);
    let mut rows = Rows { sink, count: 0 };
    Node { rows: &mut rows, place: Place::Document }.deserialize(&mut document)?;
    document.end()
}

/// Where entries go, and how many rows have gone there.
struct Rows<'a> {
    sink: Sink<'a>,
    count: u64,
}

/// A JSON value, by the place where it stands.
struct Node<'a, 'b> {
    rows: &'a mut Rows<'b>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole document: a list of entries, or an object with entries in it.
    Document,
    /// A list or an object whose every value should be an entry.
    Entries,
    /// One entry.
    Entry,
    /// An entry if it has a composition or an energy, else something that is not our concern.
    Perhaps,
}

impl<'b> Node<'_, 'b> {
    fn inner(&mut self, place: Place) -> Node<'_, 'b> {
        Node { rows: self.rows, place }
    }

    fn push(self, entry: Result<Entry, String>) {
        self.rows.count += 1;
        (self.rows.sink)(self.rows.count, entry);
    }

    /// A text, number, truth value or null.
    fn scalar<E: Error>(self) -> Result<(), E> {
        match self.place {
            Place::Document | Place::Entries => {
                Err(E::custom("neither a list nor an object of ComputedEntry dictionaries"))
            }
            Place::Entry => {
                self.push(Err("it is no ComputedEntry dictionary".into()));
                Ok(())
            }
            Place::Perhaps => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ComputedEntry dictionaries")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        if matches!(self.place, Place::Document | Place::Entries) {
            while items.next_element_seed(self.inner(Place::Entry))?.is_some() {}
            return Ok(());
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.scalar()
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        if matches!(self.place, Place::Entry | Place::Perhaps) {
            let fields = Fields::read(items)?;
            if self.place == Place::Entry || fields.composition.is_some() || fields.energy.is_some() {
                self.push(fields.entry());
            }
            return Ok(());
        }
        while let Some(key) = items.next_key::<String>()? {
            let place = match (self.place, key.as_str()) {
                (Place::Document, "entries" | "entry") => Place::Entries,
                (Place::Document, _) => Place::Perhaps,
                _ => Place::Entry,
            };
            items.next_value_seed(self.inner(place))?;
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }
}

/// What matters of a ComputedEntry dictionary.
#[derive(Default)]
struct Fields {
    composition: Option<Value>,
    energy: Option<Value>,
    correction: Option<Value>,
    adjustments: Value,
    id: Value,
}

impl Fields {
    fn read<'de, A: MapAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        let mut fields = Self::default();
        while let Some(key) = items.next_key::<String>()? {
            match key.as_str() {
                "composition" => fields.composition = Some(items.next_value()?),
                "energy" => fields.energy = Some(items.next_value()?),
                "correction" => fields.correction = Some(items.next_value()?),
                "entry_id" => fields.id = items.next_value()?,
                "energy_adjustments" => fields.adjustments = items.next_value()?,
                _ => drop(items.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }

    fn entry(self) -> Result<Entry, String> {
        let id = match self.id {
            Value::Null => String::new(),
            Value::String(id) => id,
            other => other.to_string(),
        };
        let name =
            if id.is_empty() { String::new() } else { format!(" ({})", id.chars().take(60).collect::<String>()) };
        let read = || {
            let composition = composition(self.composition.as_ref().ok_or("it has no `composition`")?)?;
            let energy = number(self.energy.as_ref(), "energy")?.ok_or("it has no `energy`")?;
            let correction = number(self.correction.as_ref(), "correction")?;
            if correction.is_none() && self.adjustments.as_array().is_some_and(|list| !list.is_empty()) {
                return Err("it has `energy_adjustments` but no `correction`, their sum".to_string());
            }
            let per_atom = (energy + correction.unwrap_or(0.0)) / composition.num_atoms();
            Entry::new(composition, per_atom, id).map_err(|e| e.to_string())
        };
        read().map_err(|reason: String| format!("{reason}{name}"))
    }
}

fn number(value: Option<&Value>, name: &str) -> Result<Option<f64>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| format!("`{name}` is no number")),
    }
}

/// A composition as pymatgen writes it: symbols, perhaps with oxidation states (`Fe3+`), to amounts; or a formula.
fn composition(value: &Value) -> Result<Composition, String> {
    match value {
        Value::String(formula) => formula.parse().map_err(|e| format!("`composition`: {e}")),
        Value::Object(amounts) => {
            let amount = |(species, amount): (&String, &Value)| {
                let symbol =
                    species.trim_end_matches(['+', '-']).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
                let element = Element::from_symbol(symbol).ok_or_else(|| format!("`{species}` is no element"))?;
                let amount = amount.as_f64().ok_or_else(|| format!("the amount of {species} is no number"))?;
                Ok((element, amount))
            };
            let amounts = amounts.iter().map(amount).collect::<Result<Vec<_>, String>>()?;
            Composition::new(amounts).map_err(|e| e.to_string())
        }
        _ => Err("`composition` is neither an object nor a formula".into()),
    }
}
