//! A worker and all processes it has started: killed together, and their memory counted together.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::processes::{Process, running};

/// How often a worker's memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(50);
/// How often descendants are looked for that were started while others were killed.
const ROUNDS: usize = 100;

/// The processes that were started as workers, each the leader of its process group.
static LEADERS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A worker has been started.
pub(super) fn register(leader: u32) {
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner).insert(leader);
}

/// Kills a worker with all that it has started, for good.
pub(super) fn end(leader: u32) {
    kill(leader);
    LEADERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&leader);
}

/// Kills every worker at once, for a program that ends immediately.
pub fn end_all_workers() {
    let leaders = LEADERS.lock().unwrap_or_else(PoisonError::into_inner);
    leaders.iter().for_each(|leader| kill(*leader));
}

/// Kills a worker, its descendants and its process group. Descendants first, so that those that have left the group are still
/// known by their parents; a guard adopts those whose parents are gone.
pub(super) fn kill(leader: u32) {
    kill_descendants(leader);
    kill_group(leader);
}

/// Kills the descendants of a process, and those that they start meanwhile.
pub(super) fn kill_descendants(ancestor: u32) {
    for _ in 0..ROUNDS {
        let found = descendants(&running(), ancestor);
        if found.is_empty() {
            return;
        }
        found.into_iter().for_each(kill_process);
        // The kernel takes a moment to hand over the children of a process that has ended.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes that a process has started, those that these have started, and so on, unless they have ended.
fn descendants(processes: &[Process], ancestor: u32) -> BTreeSet<u32> {
    let mut family = BTreeSet::from([ancestor]);
    loop {
        let before = family.len();
        let children = processes.iter().filter(|process| family.contains(&process.parent)).map(|process| process.id);
        family.extend(children.collect::<Vec<_>>());
        if family.len() == before {
            break;
        }
    }
    let alive = |id: &u32| *id != ancestor && processes.iter().any(|process| process.id == *id && !process.has_ended);
    family.into_iter().filter(alive).collect()
}

#[cfg(unix)]
fn kill_process(id: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill_process(_: u32) {}

#[cfg(unix)]
fn kill_group(leader: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill_group(_: u32) {}

/// Whether a process of the group is there.
#[cfg(unix)]
pub(super) fn has_members(leader: u32) -> bool {
    use rustix::process::{Pid, test_kill_process_group};
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    group.is_some_and(|group| test_kill_process_group(group).is_ok())
}

#[cfg(not(unix))]
pub(super) fn has_members(_: u32) -> bool {
    false
}

/// Ends when a worker and what it has started have more memory than the limit: what they have, and the limit.
pub(super) async fn too_much_memory(leader: u32, limit: Option<u64>) -> (u64, u64) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        sleep(MEMORY_EVERY).await;
        if let Some(used) = resident(leader).filter(|used| *used > limit) {
            return (used, limit);
        }
    }
}

/// Whether this system tells how much memory a process has.
pub const MEMORY_IS_MEASURED: bool = cfg!(target_os = "linux");

/// Bytes in memory of a worker's process group and its descendants, where the system tells: the leader may be a script that starts
/// the worker.
pub(super) fn resident(leader: u32) -> Option<u64> {
    let processes = running();
    let started = descendants(&processes, leader);
    let own = processes.iter().filter(|process| process.group == leader || started.contains(&process.id));
    MEMORY_IS_MEASURED.then(|| own.map(Process::resident).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_in_any_order() {
        let process = |id, parent, has_ended| Process { id, parent, group: 1, has_ended };
        let all = [
            process(9, 5, false),
            process(5, 2, true),
            process(2, 1, false),
            process(3, 1, false),
            process(4, 8, false),
            process(7, 9, true),
        ];
        assert_eq!(descendants(&all, 2), BTreeSet::from([9]));
        assert_eq!(descendants(&all, 1), BTreeSet::from([2, 3, 9]));
        assert_eq!(descendants(&all, 4), BTreeSet::new());
    }
}
