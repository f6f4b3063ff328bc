//! Time as a leaf: where it comes from, and the table of what is due when. Knows neither the loop nor a driver.

pub(crate) mod clock;
pub(crate) mod delay;
mod flags;
mod list_name;
pub(crate) mod lists;
pub(crate) mod table;
mod wheel;

#[cfg(test)]
mod table_tests;
