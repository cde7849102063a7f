//! Reads the structure of a Python pickle (protocols 2 to 5) without running anything in it.
//!
//! Calls that Python would make become [`Node::Call`] values. Everything lives in one list and refers by number, so nothing is
//! copied, nested drops or cycles cannot occur, and time and memory are bounded by the length of the file: a general pickle
//! library either recurses (a deeply nested tuple overflows the stack) or copies shared values (a hundred bytes can ask for
//! terabytes). Opcodes that checkpoints do not contain are refused.

use std::collections::HashMap;

/// More objects than any checkpoint has: a parameter and its optimiser moments make about 60.
const MAX_NODES: usize = 2_000_000;

/// Number of an object in [`Pickle`].
pub(super) type Id = usize;

/// One object; text and bytes are slices of the file.
#[derive(Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A value that no reader here needs: a float or an integer beyond 64 bits.
    OtherNumber,
    Text(&'a str),
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function by name.
    Global {
        module: &'a str,
        name: &'a str,
    },
    /// What Python would get by calling `callable` with the tuple `arguments` and restoring `state`.
    Call {
        callable: Id,
        arguments: Id,
        state: Option<Id>,
    },
}

/// A whole file's objects.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

/// Why bytes are no pickle that can be read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {reason}")]
pub struct PickleError {
    /// Where reading stopped.
    pub offset: usize,
    /// What is wrong there.
    pub reason: String,
}

impl<'a> Pickle<'a> {
    /// Reads one pickle; bytes after its end are ignored, as Python does.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, PickleError> {
        let mut machine = Machine { bytes, ..Machine::default() };
        loop {
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { nodes: machine.nodes, root }),
                Err(reason) => return Err(PickleError { offset: machine.at, reason }),
            }
        }
    }

    pub(super) fn root(&self) -> &Node<'a> {
        self.node(self.root)
    }

    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        // Ids are only made by pushing, so they are always in range; `None` keeps this free of panics.
        self.nodes.get(id).unwrap_or(&Node::None)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node<'a>> {
        self.nodes.iter()
    }
}

/// The stack machine that a pickle is a program for.
#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    /// One opcode; the id of the result after the last.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let [opcode] = self.array()?;
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => self.protocol()?,
            0x95 => drop(self.array::<8>()?), // The length of a frame helps only who reads from a stream.
            b'(' => self.marks.push(self.stack.len()),

            0x94 => self.memoise(self.memo.len())?,
            b'q' => self.array::<1>().map(|[n]| usize::from(n)).and_then(|n| self.memoise(n))?,
            b'r' => self.length4().and_then(|n| self.memoise(n))?,
            b'h' => self.array::<1>().map(|[n]| usize::from(n)).and_then(|n| self.recall(n))?,
            b'j' => self.length4().and_then(|n| self.recall(n))?,

            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'K' => self.array::<1>().and_then(|[n]| self.push(Node::Int(n.into())))?,
            b'M' => self.array().and_then(|n| self.push(Node::Int(u16::from_le_bytes(n).into())))?,
            b'J' => self.array().and_then(|n| self.push(Node::Int(i32::from_le_bytes(n).into())))?,
            0x8a => self.long()?,
            b'G' => self.array::<8>().and_then(|_| self.push(Node::OtherNumber))?,

            b'C' => self.array::<1>().and_then(|[n]| self.bytes(n.into()))?,
            b'B' => self.length4().and_then(|n| self.bytes(n))?,
            0x8e | 0x96 => self.length8().and_then(|n| self.bytes(n))?,
            0x8c => self.array::<1>().and_then(|[n]| self.text(n.into()))?,
            b'X' => self.length4().and_then(|n| self.text(n))?,

            b')' => self.push(Node::Tuple(Vec::new()))?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => self.pop_mark().and_then(|items| self.push(Node::Tuple(items)))?,
            b']' => self.push(Node::List(Vec::new()))?,
            b'a' => self.pop().and_then(|item| self.extend_list(vec![item]))?,
            b'e' => self.pop_mark().and_then(|items| self.extend_list(items))?,
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b's' => self.pop_many(2).and_then(|pair| self.extend_dict(pair))?,
            b'u' => self.pop_mark().and_then(|items| self.extend_dict(items))?,

            b'c' => self.global_by_lines()?,
            0x93 => self.global_by_stack()?,
            b'R' | 0x81 => self.call()?,
            b'b' => self.restore()?,
            other => return Err(format!("opcode 0x{other:02x} is not used by checkpoints")),
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes[self.at..].get(..count);
        let taken = taken.ok_or_else(|| format!("the file ends, but {count} more bytes should follow"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "the file ends".into())
    }

    fn length4(&mut self) -> Result<usize, String> {
        self.array().and_then(|n| usize::try_from(u32::from_le_bytes(n)).map_err(|e| e.to_string()))
    }

    fn length8(&mut self) -> Result<usize, String> {
        self.array().and_then(|n| usize::try_from(u64::from_le_bytes(n)).map_err(|e| e.to_string()))
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), String> {
        if self.nodes.len() == MAX_NODES {
            return Err(format!("more than {MAX_NODES} objects"));
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    /// The open mark hides what lies below it.
    fn pop(&mut self) -> Result<Id, String> {
        self.pop_many(1).map(|ids| ids[0])
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= floor);
        start.map(|start| self.stack.split_off(start)).ok_or_else(|| "too few objects on the stack".into())
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let height = self.marks.pop().ok_or("no mark to go back to")?;
        Ok(self.stack.split_off(height.min(self.stack.len())))
    }

    fn top(&mut self) -> Result<&mut Node<'a>, String> {
        let id = self.stack.last().ok_or("too few objects on the stack")?;
        self.nodes.get_mut(*id).ok_or_else(|| "too few objects on the stack".into())
    }

    fn protocol(&mut self) -> Result<(), String> {
        match self.array()? {
            [2..=5] => Ok(()),
            [other] => Err(format!("pickle protocol {other} is not supported: only 2 to 5 are")),
        }
    }

    fn memoise(&mut self, key: usize) -> Result<(), String> {
        let id = *self.stack.last().ok_or("nothing to remember")?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Result<(), String> {
        let id = *self.memo.get(&key).ok_or_else(|| format!("memo {key} was never set"))?;
        self.stack.push(id);
        Ok(())
    }

    /// An integer of up to 255 bytes, two's complement.
    fn long(&mut self) -> Result<(), String> {
        let [count] = self.array()?;
        let bytes = self.take(count.into())?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        match wide.get_mut(..bytes.len()) {
            Some(low) => low.copy_from_slice(bytes),
            None => return self.push(Node::OtherNumber),
        }
        self.push(Node::Int(i64::from_le_bytes(wide)))
    }

    fn bytes(&mut self, count: usize) -> Result<(), String> {
        let bytes = self.take(count)?;
        self.push(Node::Bytes(bytes))
    }

    fn text(&mut self, count: usize) -> Result<(), String> {
        let text = utf8(self.take(count)?)?;
        self.push(Node::Text(text))
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let items = self.pop_many(count)?;
        self.push(Node::Tuple(items))
    }

    fn extend_list(&mut self, more: Vec<Id>) -> Result<(), String> {
        match self.top()? {
            Node::List(items) => items.extend(more),
            // An instance of some class: what is appended to it belongs to no checkpoint of ours.
            _ => return Err("items are appended to something that is not a list".into()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, more: Vec<Id>) -> Result<(), String> {
        let (pairs, rest) = more.as_chunks::<2>();
        match self.top()? {
            Node::Dict(entries) if rest.is_empty() => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err("entries are set on something that is not a dict".into()),
        }
        Ok(())
    }

    fn global_by_lines(&mut self) -> Result<(), String> {
        let (module, name) = (self.line()?, self.line()?);
        self.push(Node::Global { module, name })
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == b'\n').ok_or("a line does not end")?;
        let line = utf8(self.take(length)?)?;
        self.at += 1;
        Ok(line)
    }

    fn global_by_stack(&mut self) -> Result<(), String> {
        let ids = self.pop_many(2)?;
        match (&self.nodes[ids[0]], &self.nodes[ids[1]]) {
            (Node::Text(module), Node::Text(name)) => {
                let (module, name) = (*module, *name);
                self.push(Node::Global { module, name })
            }
            _ => Err("the name of a class is not a text".into()),
        }
    }

    fn call(&mut self) -> Result<(), String> {
        let ids = self.pop_many(2)?;
        self.push(Node::Call { callable: ids[0], arguments: ids[1], state: None })
    }

    fn restore(&mut self) -> Result<(), String> {
        let given = self.pop()?;
        match self.top()? {
            Node::Call { state, .. } => *state = Some(given),
            _ => return Err("state is restored to something that was not made by a call".into()),
        }
        Ok(())
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `pickle.dumps({"a": (1, -2, 2**40, b"xy"), "b": [None, True, 0.5]}, protocol=4)`, by Python 3.11.
    const SMALL: &[u8] = b"\x80\x04\x95\x33\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94(K\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01C\x02xy\x94t\x94\x8c\x01b\x94]\x94(N\x88G?\xe0\x00\x00\x00\x00\x00\x00eu.";

    #[test]
    fn plain_values_are_read() {
        let pickle = Pickle::read(SMALL).unwrap();
        let Node::Dict(entries) = pickle.root() else { panic!() };
        let Node::Tuple(items) = pickle.node(entries[0].1) else { panic!() };
        let numbers: Vec<_> = items.iter().map(|id| pickle.node(*id)).collect();
        assert!(matches!(numbers[..], [Node::Int(1), Node::Int(-2), Node::Int(0x100_0000_0000), Node::Bytes(b"xy")]));
        let Node::List(items) = pickle.node(entries[1].1) else { panic!() };
        assert!(matches!(pickle.node(items[1]), Node::Bool(true)));
        for length in 0..SMALL.len() {
            assert!(Pickle::read(&SMALL[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn hostile_structures_cost_no_more_than_their_bytes() {
        let deep = [b"\x80\x04N".to_vec(), vec![0x85; 1_000_000], b".".to_vec()].concat();
        assert!(Pickle::read(&deep).is_ok());
        let doubled_64_times = [b"\x80\x04N\x94".to_vec(), b"h\x00h\x00\x86q\x00".repeat(64), b".".to_vec()].concat();
        assert_eq!(Pickle::read(&doubled_64_times).unwrap().nodes().count(), 65);
        let own_member = b"\x80\x04]\x94h\x00a.";
        assert!(Pickle::read(own_member).is_ok());
        assert!(Pickle::read(b"\x80\x04N0.").unwrap_err().reason.contains("0x30"));
        let huge_bytes = b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.";
        assert!(Pickle::read(huge_bytes).unwrap_err().reason.contains("the file ends"));
        let crowd = [b"\x80\x04".to_vec(), vec![b'N'; MAX_NODES + 1], b".".to_vec()].concat();
        assert!(Pickle::read(&crowd).unwrap_err().reason.contains("more than"));
        assert_eq!(
            Pickle::read(b"\x80\x04N(\x85.").unwrap_err().to_string(),
            "at byte 5: too few objects on the stack"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes_end_in_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Pickle::read(&bytes);
        }

        #[test]
        fn damaged_pickles_end_in_a_value_or_an_error(at in 0..SMALL.len(), byte: u8) {
            let mut bytes = SMALL.to_vec();
            bytes[at] = byte;
            let _ = Pickle::read(&bytes);
        }
    }
}
