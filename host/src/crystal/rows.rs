//! The rows of a file or of a batch: some have failed, and the others are worked on together.

use std::convert::Infallible;

/// Rows that are held in memory at a time.
const CHUNK: usize = 1024;

/// Replaces the values of the rows that have one by what `work` gives for all of them, in their order; the errors of the
/// other rows stay in their places. `work` gives one result for each value.
pub fn map_ok<T, U, E>(rows: Vec<Result<T, E>>, work: impl FnOnce(Vec<T>) -> Vec<Result<U, E>>) -> Vec<Result<U, E>> {
    let Ok(rows) = try_map_ok(rows, |values| Ok::<_, Infallible>(work(values)));
    rows
}

/// As [`map_ok`], for work that can fail as a whole.
///
/// # Errors
/// Those of `work`.
pub fn try_map_ok<T, U, E, F>(
    rows: Vec<Result<T, E>>,
    work: impl FnOnce(Vec<T>) -> Result<Vec<Result<U, E>>, F>,
) -> Result<Vec<Result<U, E>>, F> {
    let (mut places, mut values, mut all) = (Vec::new(), Vec::new(), Vec::with_capacity(rows.len()));
    for (place, row) in rows.into_iter().enumerate() {
        match row {
            Ok(value) => {
                places.push(place);
                values.push(value);
            }
            Err(error) => all.push((place, Err(error))),
        }
    }
    let results = work(values)?;
    assert_eq!(results.len(), places.len(), "one result for each value");
    all.extend(places.into_iter().zip(results));
    all.sort_unstable_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, row)| row).collect())
}

/// Hands on rows as they are read, at most 1,024 at a time, in their order.
///
/// # Errors
/// The first of the reader's or of `work`'s.
pub fn for_each_chunk<T, R, E: From<R>>(
    mut rows: impl Iterator<Item = Result<T, R>>,
    mut work: impl FnMut(Vec<T>) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        let chunk: Vec<T> = rows.by_ref().take(CHUNK).collect::<Result<_, R>>()?;
        if chunk.is_empty() {
            return Ok(());
        }
        work(chunk)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_places_and_results_their_order() {
        let rows = vec![Err("first"), Ok(1), Ok(2), Err("fourth"), Ok(3)];
        let found = map_ok(rows, |values| {
            assert_eq!(values, [1, 2, 3]);
            values.into_iter().map(|x| if x == 2 { Err("two") } else { Ok(10 * x) }).collect()
        });
        assert_eq!(found, [Err("first"), Ok(10), Err("two"), Err("fourth"), Ok(30)]);
        assert_eq!(map_ok(vec![Err::<i32, _>("alone")], |_| Vec::<Result<i32, _>>::new()), [Err("alone")]);
        assert_eq!(try_map_ok(vec![Ok::<i32, ()>(1)], |_| Err::<Vec<Result<i32, ()>>, _>("all")), Err("all"));
    }

    #[test]
    #[should_panic(expected = "one result for each value")]
    fn a_result_too_few_is_a_mistake_of_ours() {
        map_ok(vec![Ok::<_, ()>(1), Ok(2)], |_| vec![Ok(1)]);
    }

    #[test]
    fn chunks_are_whole_and_in_order() {
        let (mut seen, mut lengths) = (Vec::new(), Vec::new());
        let rows = (0..2500).map(Ok::<i32, String>);
        let all = for_each_chunk(rows, |chunk| {
            lengths.push(chunk.len());
            seen.extend(chunk);
            Ok::<_, String>(())
        });
        assert_eq!((all, lengths), (Ok(()), vec![1024, 1024, 452]));
        assert!(seen.into_iter().eq(0..2500));
    }

    #[test]
    fn chunks_end_with_the_first_error() {
        let mut calls = 0;
        let rows = (0..3000).map(|x| if x == 1500 { Err("row 1500") } else { Ok(x) });
        let all = for_each_chunk(rows, |_| {
            calls += 1;
            Ok::<_, &str>(())
        });
        assert_eq!((all, calls), (Err("row 1500"), 1));
        assert_eq!(for_each_chunk((0..3).map(Ok::<i32, &str>), |_| Err("work")), Err("work"));
    }
}
