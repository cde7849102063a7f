//! Tables whose keys are their own and some that other tables have as well: the shared ones are read into a value of their own.
//!
//! serde's `flatten` would do that, but reads everything before it looks at any of it: a mistake would be reported for the table and
//! not for the key, and an unknown key would not be noticed.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Keys that several tables have.
pub(super) trait SharedKeys: Default {
    /// Their names.
    fn names() -> Vec<&'static str>;

    /// Reads the value of the key of this name from the table.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, table: &mut A) -> Result<(), A::Error>;
}

impl<S: SharedKeys, T: SharedKeys> SharedKeys for (S, T) {
    fn names() -> Vec<&'static str> {
        [S::names(), T::names()].concat()
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, table: &mut A) -> Result<(), A::Error> {
        if S::names().contains(&name) { self.0.read(name, table) } else { self.1.read(name, table) }
    }
}

/// A table: a struct `own` of its own keys, which derives `Deserialize`, and the keys `shared` with other tables.
pub(super) struct With<T, S> {
    pub own: T,
    pub shared: S,
}

impl<'de, T: Deserialize<'de>, S: SharedKeys> Deserialize<'de> for With<T, S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

struct TableVisitor<T, S>(PhantomData<(T, S)>);

impl<'de, T: Deserialize<'de>, S: SharedKeys> Visitor<'de> for TableVisitor<T, S> {
    type Value = With<T, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<With<T, S>, A::Error> {
        let mut shared = S::default();
        let own = T::deserialize(OwnKeys { table, own: &[], shared: &mut shared })?;
        Ok(With { own, shared })
    }
}

/// The own keys of a table. The shared ones are read on the way, and what is neither is refused.
struct OwnKeys<'a, A, S> {
    table: A,
    own: &'static [&'static str],
    shared: &'a mut S,
}

impl<'de, A: MapAccess<'de>, S: SharedKeys> Deserializer<'de> for OwnKeys<'_, A, S> {
    type Error = A::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        own: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(OwnKeys { own, ..self })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>, S: SharedKeys> MapAccess<'de> for OwnKeys<'_, A, S> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.table.next_key::<String>()? {
            if self.own.contains(&name.as_str()) {
                return seed.deserialize(StrDeserializer::new(&name)).map(Some);
            }
            if S::names().contains(&name.as_str()) {
                self.shared.read(&name, &mut self.table)?;
            } else {
                let known = [self.own, &S::names()].concat();
                self.table.next_value_seed(Unknown { name, known })?;
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.table.next_value_seed(seed)
    }
}

/// Fails as serde does for an unknown key. Where the value is read, the error gets the key's place.
struct Unknown {
    name: String,
    known: Vec<&'static str>,
}

impl<'de> DeserializeSeed<'de> for Unknown {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        IgnoredAny::deserialize(value)?;
        let known = self.known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Err(D::Error::custom(format!("unknown field `{}`, expected one of {known}", self.name)))
    }
}
