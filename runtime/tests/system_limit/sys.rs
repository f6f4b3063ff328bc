//! A thread whose system has run out of files: a filter of its system calls answers ENFILE to those that make descriptors.

use std::io;

/// The first word of the data that a filter sees: the number of the call.
const CALL_NUMBER: u32 = 0;

/// Has the listed system calls of this thread, and of what it starts, fail with `errno` for good. False if the system has
/// no filters for those without rights.
pub(crate) fn refuse(calls: &[i64], errno: i32) -> bool {
    let mut program = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, CALL_NUMBER)];
    for (at, call) in calls.iter().enumerate() {
        let to_the_refusal = (calls.len() - at) as u8; // behind the step that allows
        program.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, to_the_refusal, *call as u32));
    }
    program.push(step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW));
    program.push(step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | errno as u32));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: sets a flag of this thread; the further numbers must be zero.
    let no_rights = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(no_rights, 0, "{}", io::Error::last_os_error());
    // SAFETY: `filter` leads to `program`, which has that length; the system copies it.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) == 0 }
}

fn step(code: u32, if_true: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: if_true, jf: 0, k: value }
}
