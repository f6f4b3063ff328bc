//! What all handles can do, and looking at all of them.

use std::fmt;
use std::panic::Location;

use super::watcher;
use crate::state::handles::{Body, HandleKey, HandleKind};
use crate::state::liveness::Flags;
use crate::state::{Callback, Closing, LoopHandle};

/// One thing a loop knows, as [`LoopHandle::walk`] shows it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HandleInfo {
    /// What it is.
    pub kind: HandleKind,
    /// It may run callbacks.
    pub active: bool,
    /// While active, it keeps the loop alive.
    pub referenced: bool,
    /// It was closed; its close callback is due.
    pub closing: bool,
    /// The line that made it.
    pub site: &'static Location<'static>,
}

impl fmt::Display for HandleInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.closing, self.active, self.referenced) {
            (true, ..) => "closing",
            (_, true, true) => "active",
            (_, true, false) => "active, unreferenced",
            (_, false, _) => "inactive",
        };
        write!(f, "{:?} ({state}) from {}", self.kind, self.site)
    }
}

impl LoopHandle {
    /// Shows every handle and source that was opened and is not yet released.
    pub fn walk(&self, mut visit: impl FnMut(HandleInfo)) {
        for info in self.handle_infos() {
            visit(info);
        }
    }

    /// Lists what keeps the loop alive, a line each: what it is and which line of the program made it.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, Idle};
    /// let lp = EventLoop::new()?;
    /// Idle::new(&lp).start(|_| {})?;
    /// let task = lp.spawn(std::future::pending::<()>());
    /// let reasons = lp.why_alive();
    /// assert!(reasons[0].starts_with("Idle (active) from "));
    /// assert!(reasons[1].starts_with("task from "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn why_alive(&self) -> Vec<String> {
        let holds = |info: &HandleInfo| info.closing || (info.active && info.referenced);
        let mut reasons: Vec<String> =
            self.handle_infos().iter().filter(|info| holds(info)).map(HandleInfo::to_string).collect();
        let tasks = self.state.tasks.borrow();
        let held = tasks.iter().filter(|(_, task)| task.is_referenced());
        reasons.extend(held.map(|(_, task)| format!("task from {}", task.site())));
        let requests = self.request_count() - self.state.requests_unreferenced.get();
        let named = reasons.len() + requests;
        let counts = [
            (requests, "requests"),
            (self.state.immediates.referenced(), "immediates"),
            (self.state.alive.count().saturating_sub(named), "timers, deferred callbacks or writes"),
        ];
        reasons.extend(
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
        );
        reasons
    }

    fn handle_infos(&self) -> Vec<HandleInfo> {
        let handles = self.state.handles.borrow();
        let mut infos: Vec<HandleInfo> =
            handles.iter().map(|handle| info(handle.kind, handle.flags, handle.site)).collect();
        self.state.sources.for_each(|source| infos.push(info(source.kind, source.flags, source.site)));
        infos
    }

    /// Stops a handle, marks it as closing and queues its close callback. False if it was closed before.
    pub(crate) fn close_handle(&self, key: HandleKey, callback: Option<Callback>) -> bool {
        if self.update_open(key, |_| ()).is_err() {
            return false;
        }
        self.deactivate(key);
        let alive = &self.state.alive;
        // It cannot fail: the handle was open a line above.
        let _ = self.update_open(key, |handle| handle.flags.update(alive, |flags| flags.closing = true));
        self.state.closing.borrow_mut().push(Closing { release: Some(key), callback });
        true
    }

    /// Stops whatever the handle does.
    fn deactivate(&self, key: HandleKey) {
        let mut handles = self.state.handles.borrow_mut();
        let Some(handle) = handles.get_mut(key) else { return };
        if let Body::Timer { timer, .. } = handle.body {
            drop(self.state.timers.borrow_mut().remove(timer));
        }
        let is_watcher = matches!(handle.body, Body::Watcher { .. });
        if !is_watcher {
            handle.flags.update(&self.state.alive, |flags| flags.active = false);
        }
        drop(handles);
        if is_watcher {
            watcher::stop(self, key);
        }
    }

    /// Applies a change to the flags of a handle and counts the difference.
    pub(crate) fn update_flags(&self, key: HandleKey, change: impl FnOnce(&mut Flags)) {
        if let Some(handle) = self.state.handles.borrow_mut().get_mut(key) {
            handle.flags.update(&self.state.alive, change);
        }
    }

    pub(crate) fn flags_of(&self, key: HandleKey) -> Option<Flags> {
        self.state.handles.borrow().get(key).map(|handle| handle.flags)
    }
}

/// Defines what every handle type offers. The type has the fields `lp` and `key`.
macro_rules! handle_methods {
    ([$($params:tt)*] $type:ty) => {
        impl<$($params)*> $type {
            /// The loop this handle belongs to.
            pub fn lp(&self) -> &$crate::state::LoopHandle {
                &self.lp
            }

            /// Stops the handle and releases it in the next close phase. Closing it again does nothing.
            pub fn close(&self) {
                self.lp.close_handle(self.key, None);
            }

            /// As `close`, and runs `on_close` in the close phase. False, and `on_close` is dropped, if the handle was
            /// closed before.
            ///
            /// # Ordering
            /// Close callbacks of one phase run last closed first. Source: SEMANTICS C1.
            pub fn close_with(&self, on_close: impl FnOnce(&$crate::state::LoopHandle) + 'static) -> bool {
                let callback = self.lp.wrap(on_close);
                self.lp.close_handle(self.key, Some(callback))
            }

            /// True while the handle may run its callback.
            pub fn is_active(&self) -> bool {
                self.lp.flags_of(self.key).is_some_and(|flags| flags.active)
            }

            /// True from `close` on, also after the handle was released.
            pub fn is_closing(&self) -> bool {
                self.lp.flags_of(self.key).is_none_or(|flags| flags.closing)
            }

            /// Lets the handle keep the loop alive while it is active. The default, unless the type says otherwise.
            pub fn ref_(&self) {
                self.lp.update_flags(self.key, |flags| flags.referenced = true);
            }

            /// Lets the loop end while the handle is active.
            pub fn unref(&self) {
                self.lp.update_flags(self.key, |flags| flags.referenced = false);
            }

            /// True if the handle would keep the loop alive while it is active.
            pub fn is_referenced(&self) -> bool {
                self.lp.flags_of(self.key).is_some_and(|flags| flags.referenced)
            }
        }
    };
}
pub(crate) use handle_methods;

fn info(kind: HandleKind, flags: Flags, site: &'static Location<'static>) -> HandleInfo {
    HandleInfo { kind, active: flags.active, referenced: flags.referenced, closing: flags.closing, site }
}
