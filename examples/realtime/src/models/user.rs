//! Users.

/// Says what is wrong with a name.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
    match (3..=32).contains(&name.len()) && name.chars().all(fits) {
        true => Ok(()),
        false => Err("a name is 3 to 32 of a-z, 0-9, _ and -".to_owned()),
    }
}

/// Says what is wrong with a password, without a word of it.
pub(crate) fn check_password(password: &str) -> Result<(), String> {
    match (8..=128).contains(&password.chars().count()) {
        true => Ok(()),
        false => Err("a password is 8 to 128 characters".to_owned()),
    }
}
