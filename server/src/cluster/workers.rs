//! What workers are: processes of ours, threads, or Node programs.

use std::env;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use phaseloop::LoopHandle;
use phaseloop::process::Command;

use super::event::WorkerId;
use super::worker::Worker;

/// A worker that is about to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewWorker {
    /// Its number.
    pub id: WorkerId,
    /// Its place, from 0 on: its successor has the same. For what each place has of its own, such as a file of logs.
    pub slot: usize,
}

/// What the workers of a cluster are.
#[derive(Clone)]
pub struct Workers(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    Processes(Rc<MakeCommand>),
    Node(Rc<MakeCommand>),
    Threads(Arc<ThreadMain>),
}

type MakeCommand = dyn Fn(&NewWorker) -> Command;
type ThreadMain = dyn Fn(&LoopHandle, Worker) + Send + Sync;

impl Workers {
    /// Processes that run what `command` makes: phaseloop programs that call [`Worker::from_env`].
    ///
    /// The command says all of it: program, arguments, environment, folder, standard descriptors. A channel and one variable
    /// are added.
    pub fn processes(command: impl Fn(&NewWorker) -> Command + 'static) -> Self {
        Self(Kind::Processes(Rc::new(command)))
    }

    /// Processes that run this very program with its own arguments, as Node's `cluster.fork` does. The program calls
    /// [`Worker::from_env`] first, and is the primary where that finds nothing.
    ///
    /// The program is started by the path it has now: a new version put in its place is what a rolling restart starts.
    ///
    /// # Errors
    /// The system's, if it does not say where this program is.
    pub fn this_program() -> io::Result<Self> {
        let program = env::current_exe()?;
        let arguments: Vec<_> = env::args_os().skip(1).collect();
        Ok(Self::processes(move |_| Command::new(&program).args(&arguments)))
    }

    /// Node programs that use Node's `cluster` module and are not told of us: they believe that their primary is Node. What
    /// they `listen` on, the primary opens.
    ///
    /// They are not asked for answers, so one that is stuck is not noticed.
    pub fn node(command: impl Fn(&NewWorker) -> Command + 'static) -> Self {
        Self(Kind::Node(Rc::new(command)))
    }

    /// Threads of this process, each with a loop of its own on which `main` runs first.
    ///
    /// A thread that is stuck can not be ended: it is given up and replaced, and what it holds stays held.
    pub fn threads(main: impl Fn(&LoopHandle, Worker) + Send + Sync + 'static) -> Self {
        Self(Kind::Threads(Arc::new(main)))
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.0 {
            Kind::Processes(_) => "processes",
            Kind::Node(_) => "node",
            Kind::Threads(_) => "threads",
        };
        f.debug_tuple("Workers").field(&name).finish()
    }
}
