//! What middleware leaves for those behind it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

/// Values of a request, one of each type. They need not be `Send`.
///
/// # Examples
/// ```
/// use phaseloop_server::web::State;
///
/// #[derive(Debug, PartialEq)]
/// struct User(&'static str);
///
/// let mut state = State::default();
/// assert!(state.insert(User("ada")).is_none());
/// assert_eq!(state.get::<User>(), Some(&User("ada")));
/// assert_eq!(state.take::<User>(), Some(User("ada")));
/// ```
#[derive(Default)]
pub struct State(HashMap<TypeId, Box<dyn Any>>);

impl State {
    /// Leaves a value; gives the one of its type that was there.
    pub fn insert<T: 'static>(&mut self, value: T) -> Option<T> {
        self.0.insert(TypeId::of::<T>(), Box::new(value)).and_then(unboxed)
    }

    /// The value of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// The value of this type, to be changed.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.0.get_mut(&TypeId::of::<T>())?.downcast_mut()
    }

    /// Takes the value of this type out.
    pub fn take<T: 'static>(&mut self) -> Option<T> {
        self.0.remove(&TypeId::of::<T>()).and_then(unboxed)
    }
}

fn unboxed<T: 'static>(value: Box<dyn Any>) -> Option<T> {
    value.downcast().ok().map(|value| *value)
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("len", &self.0.len()).finish_non_exhaustive()
    }
}
