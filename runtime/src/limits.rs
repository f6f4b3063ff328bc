//! What bounds a loop's queues, buffers and batches.

use std::num::{NonZeroU32, NonZeroUsize};

/// The limits of one loop. Each has a default that suits a server.
///
/// ```
/// use phaseloop::{EventLoop, Limits};
///
/// let task_io_budget = 32.try_into().expect("not zero");
/// let limits = Limits { task_io_budget, ..Limits::default() };
/// let lp = EventLoop::builder().limits(limits).build()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events that one wait of the driver may report. More stay in the kernel for the next wait.
    pub events_per_wait: NonZeroUsize,
    /// Waits that one poll phase may make while each comes back full; libuv's figure, so that timers are not late
    /// behind a flood of events.
    pub waits_per_poll: NonZeroU32,
    /// Ready reads and writes that a task may do in one poll of it before it has to let others run.
    pub task_io_budget: NonZeroU32,
    /// Reads that one source with a read callback may do in one turn.
    pub reads_per_turn: NonZeroU32,
    /// Connections that one listener may accept in one turn.
    pub accepts_per_turn: NonZeroU32,
    /// Bytes of the buffer that the loop lends to reads, of which there is one. Callbacks for datagrams share another, with room for
    /// eight of this length, or of 65,535 bytes if that is less; untouched room takes no memory.
    pub read_buffer_len: NonZeroUsize,
    /// Bytes that may wait on one stream to be written. `queue_write` refuses what might go beyond, also a single write
    /// that is longer.
    pub write_queue_len_max: usize,
    /// Writes that may wait on one stream, however short they are: each costs some memory beside its bytes.
    pub queued_writes_max: usize,
    /// Bytes that wait on one stream above which a writer is told to pause: it is a hint, where the line above is a limit.
    /// Node's figure for sockets.
    pub write_high_water_mark: usize,
    /// Descriptors that one read of a Unix socket may take, and one write pass. The kernel's limit is 253; more here count as
    /// that.
    pub descriptors_per_message: usize,
    /// Datagrams that one socket with a receive callback may receive in one turn.
    pub datagrams_per_turn: NonZeroU32,
    /// Datagrams that may wait on one socket to be sent. Their bytes count against `write_queue_len_max` too.
    pub datagram_queue_len_max: usize,
    /// Closures that other threads may have posted and the loop has not yet taken.
    pub remote_queue_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events_per_wait: NonZeroUsize::new(1024).expect("not zero"),
            waits_per_poll: NonZeroU32::new(48).expect("not zero"),
            task_io_budget: NonZeroU32::new(128).expect("not zero"),
            reads_per_turn: NonZeroU32::new(16).expect("not zero"),
            accepts_per_turn: NonZeroU32::new(64).expect("not zero"),
            read_buffer_len: NonZeroUsize::new(64 * 1024).expect("not zero"),
            write_queue_len_max: 64 * 1024 * 1024,
            queued_writes_max: 64 * 1024,
            write_high_water_mark: 64 * 1024,
            descriptors_per_message: 64,
            datagrams_per_turn: NonZeroU32::new(128).expect("not zero"),
            datagram_queue_len_max: 4096,
            remote_queue_len_max: 1 << 20,
        }
    }
}
