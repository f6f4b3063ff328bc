//! Failures that tests ask for.

use std::cell::RefCell;
use std::fmt;

use sea_orm::DbErr;

type Fails = Box<dyn Fn(&'static str) -> bool>;

/// Says which steps of a transaction are to fail. None, unless a test says so.
#[derive(Default)]
pub(crate) struct Faults(RefCell<Option<Fails>>);

impl Faults {
    pub(crate) fn set(&self, fails: impl Fn(&'static str) -> bool + 'static) {
        *self.0.borrow_mut() = Some(Box::new(fails));
    }

    /// Stands before each step that a transaction takes.
    pub(crate) fn at(&self, step: &'static str) -> Result<(), DbErr> {
        let fails = self.0.borrow().as_ref().is_some_and(|fails| fails(step));
        if fails { Err(DbErr::Custom(format!("a fault was asked for at {step}"))) } else { Ok(()) }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}
