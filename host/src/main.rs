//! The binary `temper`: parse, run, and turn the outcome into an exit code.

use std::io::Write;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use clap::Parser;
use temper::cli::{Arguments, Exit};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(apologise));
    // clap itself ends the program with 2 on a wrong usage and with 0 on --help.
    let outcome = std::panic::catch_unwind(|| Arguments::parse().run());
    let code = match outcome {
        Ok(Ok(())) => Exit::Done.into(),
        Ok(Err(failure)) => {
            failure.report();
            failure.exit().into()
        }
        Err(_) => Exit::Internal.into(),
    };
    temper::cli::end_output();
    code
}

/// Says that a panic is our fault, and where it happened.
fn apologise(panic: &PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("unknown");
    let place = panic.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
    let _ = writeln!(
        std::io::stderr().lock(),
        "error: temper {} failed because of a bug: {what} ({place})\n\
         hint: please report this line together with the command and its config",
        env!("CARGO_PKG_VERSION"),
    );
}
