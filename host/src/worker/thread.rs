//! The one thread that starts and watches workers.

use std::sync::OnceLock;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{WorkerFailure, signals};

/// The runtime of the thread. It lives as long as the program: the system kills workers with the thread that started them.
fn handle() -> std::io::Result<&'static Handle> {
    static HANDLE: OnceLock<std::io::Result<Handle>> = OnceLock::new();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        runtime.spawn(signals::end_workers_at_a_signal());
        let forever = move || runtime.block_on(std::future::pending::<()>());
        std::thread::Builder::new().name("workers".into()).spawn(forever)?;
        Ok(handle)
    };
    HANDLE.get_or_init(start).as_ref().map_err(|e| std::io::Error::new(e.kind(), e.to_string()))
}

/// Has the thread do something; the receiver gets the result.
///
/// # Errors
/// [`WorkerFailure::Start`] where the system gives no thread.
pub fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<oneshot::Receiver<T>, WorkerFailure> {
    let handle = handle().map_err(|e| WorkerFailure::Start(format!("no thread for the workers: {e}")))?;
    let (sender, receiver) = oneshot::channel();
    handle.spawn(async move {
        // The receiver is gone only if the program ends.
        let _ = sender.send(work.await);
    });
    Ok(receiver)
}

/// Has the thread do something, and waits for the result.
///
/// # Errors
/// As [`spawn`].
pub fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, WorkerFailure> {
    spawn(work)?.blocking_recv().map_err(|_| WorkerFailure::thread_has_ended())
}
