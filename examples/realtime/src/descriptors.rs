//! How many connections the system lets a process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of descriptors to the highest that the system allows without asking anybody, as Node does. Connections are descriptors, and
/// many systems begin at 1024.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it can not be raised, what there is has to do, and the server says so when it is used up.
    let _ = setrlimit(Resource::Nofile, raised);
}
