//! A list of exceptions that may only shrink.

use std::collections::BTreeMap;

/// Something that was measured and found too big.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversize {
    /// What the list calls it; several may share a name.
    pub name: String,
    /// Where it stands, as `path:line`.
    pub at: String,
    /// Its size.
    pub size: usize,
}

/// Compares what is too big with the list of what may be, and answers one message for each difference.
///
/// The list gives each name with its present size, so that nothing on it grows, nothing is added in passing, and what was
/// mended leaves it. `list` is what the messages call the list, `unit` what sizes are counted in.
///
/// # Examples
/// ```
/// use phaseloop_tests::ratchet::{Oversize, differences};
///
/// let found = [Oversize { name: "a.rs".into(), at: "a.rs:1".into(), size: 70 }];
/// assert!(differences(&found, &[("a.rs", 70)], "LONG", "lines").is_empty());
/// assert_eq!(differences(&found, &[], "LONG", "lines").len(), 1);
/// ```
pub fn differences(found: &[Oversize], listed: &[(&str, usize)], list: &str, unit: &str) -> Vec<String> {
    let mut by_name: BTreeMap<&str, (Vec<&Oversize>, Vec<usize>)> = BTreeMap::new();
    for oversize in found {
        by_name.entry(&oversize.name).or_default().0.push(oversize);
    }
    for (name, size) in listed {
        by_name.entry(name).or_default().1.push(*size);
    }
    let mut messages = Vec::new();
    for (name, (mut have, mut allowed)) in by_name {
        have.sort_by_key(|oversize| oversize.size);
        allowed.sort_unstable();
        messages.extend(compare(name, &have, &allowed, list, unit));
    }
    messages
}

/// The differences of one name; both slices are sorted by size.
fn compare(name: &str, have: &[&Oversize], allowed: &[usize], list: &str, unit: &str) -> Vec<String> {
    let mut messages = Vec::new();
    for index in 0..have.len().max(allowed.len()) {
        let message = match (have.get(index), allowed.get(index)) {
            (Some(Oversize { at, size, .. }), None) => {
                format!("{at}: {name} has {size} {unit}: split off a part that has a name of its own")
            }
            (Some(Oversize { at, size, .. }), Some(limit)) if size > limit => {
                format!(
                    "{at}: {name} grew from {limit} to {size} {unit}: make it smaller, not the list longer"
                )
            }
            (Some(Oversize { at, size, .. }), Some(limit)) if size < limit => {
                format!("{at}: {name} shrank from {limit} to {size} {unit}, well done: write that in {list}")
            }
            (None, Some(limit)) => {
                format!("{name} is gone or small now, well done: take ({name:?}, {limit}) out of {list}")
            }
            _ => continue,
        };
        messages.push(message);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[(&str, usize)], listed: &[(&str, usize)]) -> Vec<String> {
        let found: Vec<_> = found
            .iter()
            .map(|(name, size)| Oversize { name: (*name).to_owned(), at: "f.rs:1".to_owned(), size: *size })
            .collect();
        differences(&found, listed, "LIST", "lines")
    }

    #[test]
    fn what_is_listed_at_its_size_passes() {
        assert!(check(&[], &[]).is_empty());
        assert!(check(&[("a", 70), ("b", 80)], &[("b", 80), ("a", 70)]).is_empty());
    }

    #[test]
    fn what_is_new_grew_shrank_or_went_is_told() {
        let told = |found: &[_], listed: &[_]| check(found, listed).join("\n");
        assert!(told(&[("a", 70)], &[]).contains("f.rs:1: a has 70 lines"));
        assert!(told(&[("a", 71)], &[("a", 70)]).contains("grew from 70 to 71"));
        assert!(told(&[("a", 69)], &[("a", 70)]).contains("shrank from 70 to 69"));
        assert!(told(&[], &[("a", 70)]).contains("take (\"a\", 70) out of LIST"));
    }

    #[test]
    fn namesakes_are_told_apart_by_size() {
        assert!(check(&[("a", 90), ("a", 70)], &[("a", 70), ("a", 90)]).is_empty());
        assert_eq!(check(&[("a", 90), ("a", 70)], &[("a", 70)]).len(), 1);
    }
}
