//! Known structures, against which novelty is judged.

use std::path::Path;

use rayon::prelude::*;

use super::{Context, Failure};
use crate::crystal::{Record, for_each_chunk, read_structures};
use crate::matching::{StructureIndex, StructureIndexBuilder, StructureMatcher};

/// An index (a file named `.index`), or structures, of which one is made that no folder keeps.
///
/// # Errors
/// A file that cannot be read, or that holds no structure that can be compared.
pub(super) fn known_structures(
    path: &Path,
    matcher: &StructureMatcher,
    context: &Context,
) -> Result<StructureIndex, Failure> {
    if path.extension().is_some_and(|extension| extension == "index") {
        return Ok(StructureIndex::open(path, matcher.clone())?);
    }
    known_structures_by(path, matcher, context, &mut |record| record.id.clone())
}

/// An index of structures under ids that `id` gives, that no folder keeps.
///
/// # Errors
/// As [`known_structures`].
pub(super) fn known_structures_by(
    path: &Path,
    matcher: &StructureMatcher,
    context: &Context,
    id: &mut dyn FnMut(&Record) -> String,
) -> Result<StructureIndex, Failure> {
    let folder = tempfile::tempdir().map_err(|e| Failure::user(format!("no temporary folder can be made: {e}")))?;
    let file = folder.path().join("known.index");
    let mut builder = StructureIndexBuilder::create(&file, matcher)?;
    let (mut left_out, progress) = (0, context.progress("known structures", 0));
    for_each_chunk(read_structures(path)?, |chunk: Vec<Record>| -> Result<(), Failure> {
        let reduce = |record: &Record| record.structure.as_ref().ok().and_then(|s| matcher.reduce(s).ok());
        let reduced: Vec<_> = chunk.par_iter().map(reduce).collect();
        progress.advance(chunk.len() as u64);
        for (record, reduced) in chunk.iter().zip(reduced) {
            match reduced {
                Some(structure) => builder.add(&id(record), &structure)?,
                None => left_out += 1,
            }
        }
        Ok(())
    })?;
    drop(progress);
    if builder.is_empty() {
        return Err(Failure::user(format!("{}: no structure can be compared", path.display())));
    }
    if left_out > 0 {
        context.say(&format!("warning: {}: {left_out} structures cannot be compared", path.display()));
    }
    builder.finish()?;
    // The index keeps the file open; its name goes with the folder.
    Ok(StructureIndex::open(&file, matcher.clone())?)
}
