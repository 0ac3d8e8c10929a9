//! How the command ends, and the other programs that it is.

use std::process::ExitCode;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: input or surroundings are at fault.
    Failed,
    /// 2: the command line is not understood.
    Usage,
    /// 130: ended by Ctrl-C.
    Interrupted,
    /// What a program run for the user ended with.
    Guest(u8),
}

/// The status of a bug in Lifeboat.
const BUG: i32 = 3;
/// The status after Ctrl-C: that of a shell's child which SIGINT ended.
const INTERRUPTED: i32 = 130;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Interrupted => 130,
            Exit::Guest(code) => code,
        })
    }
}

/// Makes each panic say what it is, and end with a status of its own.
pub fn report_bugs() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        crate::printer::bug();
        end(BUG);
    }));
}

/// Whether this is the init of an initrd.
pub fn is_init() -> bool {
    let name = std::env::args_os().next().unwrap_or_default();
    std::process::id() == 1 && std::path::Path::new(&name).ends_with("init")
}

/// Is the init of an initrd; never returns.
pub fn run_init() -> ! {
    match lifeboat_node::init::run() {}
}

/// Is the helper that the sandbox starts this program as; `None` if this is the command.
pub fn run_sandbox_helper() -> Option<ExitCode> {
    lifeboat_sandbox::helper_main()
}

/// Ends at once, as asked by Ctrl-C.
pub fn interrupted() -> ! {
    crate::printer::interrupted();
    end(INTERRUPTED)
}

#[expect(
    clippy::exit,
    reason = "a panic hook and a thread have no other way to choose the status"
)]
fn end(status: i32) -> ! {
    std::process::exit(status)
}
