//! Distributes tasks over workers that each own something costly, such as a session.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs `task` for every item, as many at a time as there are workers, and hands the results to `gather` in the order of the
/// items: what is summed up there does not depend on the number of workers. No item is begun after one has failed.
///
/// # Errors
/// That of the first item, in their order, of those that failed.
pub(super) fn in_order<W: Send, I: Sync, R: Send, E: Send>(
    workers: &[Mutex<W>],
    items: &[I],
    task: impl Fn(&mut W, &I) -> Result<R, E> + Sync,
    gather: impl FnMut(&I, R) + Send,
) -> Result<(), E> {
    let progress =
        Mutex::new(Progress { begun: 0, gathered: 0, waiting: BTreeMap::new(), failed: None, items, gather });
    let work = |worker: &Mutex<W>| {
        let mut worker = lock(worker);
        loop {
            let Some(index) = lock(&progress).begin() else { break };
            let result = task(&mut worker, &items[index]);
            lock(&progress).end(index, result);
        }
    };
    std::thread::scope(|scope| {
        for worker in workers.iter().skip(1) {
            scope.spawn(|| work(worker));
        }
        workers.first().map(work)
    });
    let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
    progress.failed.map_or(Ok(()), |(_, error)| Err(error))
}

struct Progress<'a, I, R, E, G> {
    begun: usize,
    gathered: usize,
    /// Results of items that an earlier one still holds up.
    waiting: BTreeMap<usize, R>,
    failed: Option<(usize, E)>,
    items: &'a [I],
    gather: G,
}

impl<I, R, E, G: FnMut(&I, R)> Progress<'_, I, R, E, G> {
    fn begin(&mut self) -> Option<usize> {
        let next = (self.failed.is_none() && self.begun < self.items.len()).then_some(self.begun);
        self.begun += 1;
        next
    }

    fn end(&mut self, index: usize, result: Result<R, E>) {
        match result {
            Ok(result) => _ = self.waiting.insert(index, result),
            Err(error) if self.failed.as_ref().is_none_or(|(first, _)| index < *first) => {
                self.failed = Some((index, error));
            }
            Err(_) => {}
        }
        while let Some(result) = self.waiting.remove(&self.gathered) {
            (self.gather)(&self.items[self.gathered], result);
            self.gathered += 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(count: usize) -> Vec<Mutex<usize>> {
        (0..count).map(|_| Mutex::new(0)).collect()
    }

    #[test]
    fn results_come_once_and_in_order() {
        let items: Vec<u64> = (0..40).collect();
        for count in [1, 2, 7] {
            let workers = workers(count);
            let mut seen = Vec::new();
            let task = |done: &mut usize, item: &u64| {
                *done += 1;
                std::thread::sleep(std::time::Duration::from_micros(97 * (item % 7)));
                Ok::<_, ()>(10 * item)
            };
            in_order(&workers, &items, task, |item, result| seen.push((*item, result))).unwrap();
            assert_eq!(seen, items.iter().map(|i| (*i, 10 * i)).collect::<Vec<_>>());
            assert_eq!(workers.iter().map(|w| *w.lock().unwrap()).sum::<usize>(), items.len());
        }
    }

    #[test]
    fn the_first_failure_counts_and_ends_the_work() {
        let items: Vec<u64> = (0..100).collect();
        for count in [1, 3] {
            let workers = workers(count);
            let mut seen = Vec::new();
            let task = |done: &mut usize, item: &u64| {
                *done += 1;
                if *item == 5 {
                    // The next failure is ready before this one.
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                if *item >= 5 { Err(*item) } else { Ok(*item) }
            };
            assert_eq!(in_order(&workers, &items, task, |_, result| seen.push(result)), Err(5));
            assert_eq!(seen, [0, 1, 2, 3, 4]);
            assert!(workers.iter().map(|w| *w.lock().unwrap()).sum::<usize>() <= 5 + count);
        }
    }
}
