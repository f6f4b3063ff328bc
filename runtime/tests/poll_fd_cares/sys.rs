//! c-ares, a resolver in C that owns its sockets and has the caller watch them. Loaded at run time, so that nothing is linked.
//! Source: ares_init_options(3), ares_process(3), ares_timeout(3).

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_ushort, c_void};
use std::mem::{MaybeUninit, transmute_copy};
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// A descriptor of the library, which says when it closes it.
pub(crate) fn number(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the library keeps it open until it has said that nothing is to be watched any more, and then it is not used.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Is told of an answer: the library's code, and the bytes.
type Told = Box<dyn FnOnce(c_int, &[u8])>;
type OnSocket = Box<dyn FnMut(RawFd, bool, bool)>;

/// The head of the library's options; the rest, which differs between versions, stays zero.
#[repr(C)]
struct Options {
    flags: c_int,
    timeout_ms: c_int,
    tries: c_int,
    ndots: c_int,
    ports: [c_ushort; 2],
    buffers: [c_int; 2],
    servers: *mut c_void,
    servers_len: c_int,
    domains: *mut c_void,
    domains_len: c_int,
    lookups: *mut c_char,
    on_socket: extern "C" fn(*mut c_void, c_int, c_int, c_int),
    on_socket_data: *mut c_void,
    rest: [usize; 32],
}

const OPT_TRIES: c_int = 1 << 2;
const OPT_SOCK_STATE_CB: c_int = 1 << 9;
const OPT_TIMEOUTMS: c_int = 1 << 13;
const SOCKET_BAD: c_int = -1;
const CLASS_IN: c_int = 1;
const TYPE_A: c_int = 1;

type AnswerFn = extern "C" fn(*mut c_void, c_int, c_int, *mut c_uchar, c_int);

struct Functions {
    destroy: unsafe extern "C" fn(*mut c_void),
    query: unsafe extern "C" fn(*mut c_void, *const c_char, c_int, c_int, AnswerFn, *mut c_void),
    process_fd: unsafe extern "C" fn(*mut c_void, c_int, c_int),
    timeout: unsafe extern "C" fn(*mut c_void, *mut libc::timeval, *mut libc::timeval) -> *mut libc::timeval,
    strerror: unsafe extern "C" fn(c_int) -> *const c_char,
}

/// The library.
pub(crate) struct Library(*mut c_void);

impl Library {
    /// `None` if it is not installed.
    pub(crate) fn open() -> Option<Self> {
        // SAFETY: loading runs the library's initialisers, which are those of a well-kept library.
        let library = unsafe { libc::dlopen(c"libcares.so.2".as_ptr(), libc::RTLD_NOW) };
        (!library.is_null()).then_some(Self(library))
    }

    /// Looks a function up.
    fn find<F: Copy>(&self, name: &CStr) -> F {
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: the library is never closed, and the name ends with a zero.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null(), "c-ares has no {name:?}");
        // SAFETY: the symbol is a function, of the type that the library's manual gives, and as long as a pointer.
        unsafe { transmute_copy(&found) }
    }
}

/// A resolver that asks the servers it was given.
pub(crate) struct Resolver {
    functions: Functions,
    channel: *mut c_void,
    /// What `on_socket` is called through; freed behind the channel.
    on_socket: *mut RefCell<OnSocket>,
}

impl Resolver {
    /// With `servers` as a list of addresses with ports. `on_socket` is told of each socket, and whether it is to be watched for
    /// reading and for writing.
    pub(crate) fn new(
        library: &Library,
        servers: &str,
        timeout: Duration,
        on_socket: impl FnMut(RawFd, bool, bool) + 'static,
    ) -> Self {
        type Init = unsafe extern "C" fn(*mut *mut c_void, *mut Options, c_int) -> c_int;
        type SetServers = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
        let (init, set_servers): (Init, SetServers) =
            (library.find(c"ares_init_options"), library.find(c"ares_set_servers_ports_csv"));
        let functions = Functions {
            destroy: library.find(c"ares_destroy"),
            query: library.find(c"ares_query"),
            process_fd: library.find(c"ares_process_fd"),
            timeout: library.find(c"ares_timeout"),
            strerror: library.find(c"ares_strerror"),
        };
        let on_socket: *mut RefCell<OnSocket> = Box::into_raw(Box::new(RefCell::new(Box::new(on_socket))));
        let mut options = Options {
            flags: 0,
            timeout_ms: timeout.as_millis() as c_int,
            tries: 2,
            ndots: 0,
            ports: [0; 2],
            buffers: [0; 2],
            servers: ptr::null_mut(),
            servers_len: 0,
            domains: ptr::null_mut(),
            domains_len: 0,
            lookups: ptr::null_mut(),
            on_socket: tell_socket,
            on_socket_data: on_socket.cast(),
            rest: [0; 32],
        };
        let mut channel = ptr::null_mut();
        let mask = OPT_TRIES | OPT_SOCK_STATE_CB | OPT_TIMEOUTMS;
        // SAFETY: both pointers are ours; the mask names only fields that are set above.
        assert_eq!(unsafe { init(&raw mut channel, &raw mut options, mask) }, 0);
        let servers = CString::new(servers).expect("addresses have no zeros");
        // SAFETY: the channel was made above, and the text ends with a zero.
        assert_eq!(unsafe { set_servers(channel, servers.as_ptr()) }, 0);
        Self { functions, channel, on_socket }
    }

    /// Asks for the addresses of a name. What comes is the whole answer, as bytes.
    pub(crate) fn query(&self, name: &str, on_answer: impl FnOnce(Result<Vec<u8>, String>) + 'static) {
        let strerror = self.functions.strerror;
        let told = move |status: c_int, bytes: &[u8]| {
            on_answer(if status == 0 {
                Ok(bytes.to_vec())
            } else {
                // SAFETY: the library gives a text for every code, which stays.
                let text = unsafe { strerror(status) };
                // SAFETY: as above, and it ends with a zero.
                let text = unsafe { CStr::from_ptr(text) };
                Err(text.to_string_lossy().into_owned())
            });
        };
        let told: Told = Box::new(told);
        let argument = Box::into_raw(Box::new(told)).cast();
        let name = CString::new(name).expect("names have no zeros");
        // SAFETY: the channel is there until `drop`; the library calls back once, with the argument.
        unsafe {
            (self.functions.query)(self.channel, name.as_ptr(), CLASS_IN, TYPE_A, tell_answer, argument)
        };
    }

    /// Has the library read from one socket and write to another, and look at the clock.
    pub(crate) fn process(&self, readable: Option<RawFd>, writable: Option<RawFd>) {
        let (readable, writable) = (readable.unwrap_or(SOCKET_BAD), writable.unwrap_or(SOCKET_BAD));
        // SAFETY: the channel is there until `drop`; sockets that are not its own are ignored.
        unsafe { (self.functions.process_fd)(self.channel, readable, writable) };
    }

    /// How long until it wants to look at the clock.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let mut time = MaybeUninit::<libc::timeval>::zeroed();
        // SAFETY: the channel is there until `drop`, and the time is ours.
        let found = unsafe { (self.functions.timeout)(self.channel, ptr::null_mut(), time.as_mut_ptr()) };
        // SAFETY: a time that is found is the one of above, which was filled; zero is a time too.
        let time = (!found.is_null()).then(|| unsafe { time.assume_init() })?;
        Some(Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000))
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        // SAFETY: it is destroyed once; it calls back for what it still had open.
        unsafe { (self.functions.destroy)(self.channel) };
        // SAFETY: made by `Box::into_raw`, and the library that used it is done.
        drop(unsafe { Box::from_raw(self.on_socket) });
    }
}

extern "C" fn tell_socket(data: *mut c_void, fd: c_int, readable: c_int, writable: c_int) {
    // SAFETY: the pointer that the options had, freed only behind the channel.
    let on_socket = unsafe { &*data.cast::<RefCell<OnSocket>>() };
    (on_socket.borrow_mut())(fd, readable != 0, writable != 0);
}

extern "C" fn tell_answer(
    data: *mut c_void,
    status: c_int,
    _timeouts: c_int,
    bytes: *mut c_uchar,
    len: c_int,
) {
    // SAFETY: made by `Box::into_raw` in `query`, and called once.
    let told = unsafe { Box::from_raw(data.cast::<Told>()) };
    let bytes = match bytes.is_null() {
        true => &[][..],
        // SAFETY: the library gives that many bytes, for the call.
        false => unsafe { std::slice::from_raw_parts(bytes, len as usize) },
    };
    told(status, bytes);
}
