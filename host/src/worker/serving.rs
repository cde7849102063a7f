//! The worker's end: what a process does before it serves over its standard streams.

use std::fs::File;
use std::io::BufReader;

/// While this is held, signals that ask for the end mean nothing: a scheduler sends them to all processes, and the host wants its batch
/// before it obeys. Programs that the worker starts hear them again.
///
/// # Errors
/// When the system lets no one listen.
#[cfg(unix)]
pub fn ignore_signals() -> std::io::Result<impl Drop> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::user_defined1()] {
        // The handler stays, whether anybody listens or not.
        drop(signal(kind)?);
    }
    drop(inside);
    Ok(runtime)
}

/// As on Unix, where there is anything to ignore.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn ignore_signals() -> std::io::Result<()> {
    Ok(())
}

/// The streams of the protocol, out of reach of what is served: what it prints comes out on standard error, what it reads is empty.
///
/// # Errors
/// When they are not there.
#[cfg(unix)]
pub fn streams() -> std::io::Result<(BufReader<File>, File)> {
    use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};
    let input = File::from(rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?);
    let output = File::from(rustix::io::fcntl_dupfd_cloexec(stdout(), 3)?);
    dup2_stdout(stderr())?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok((BufReader::new(input), output))
}

/// The streams of the protocol.
///
/// # Errors
/// Always: nobody has made it work here.
#[cfg(not(unix))]
pub fn streams() -> std::io::Result<(BufReader<File>, File)> {
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
}
