//! Users.

use sea_orm::entity::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub name: String,
    pub role: String,
    /// What the password became: see `services/passwords.rs`.
    pub password: String,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(has_many = "super::order::Entity")]
    Orders,
}

impl Related<super::order::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Orders.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// What everybody may see.
    pub(crate) fn shown(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "role": self.role, "created_at": self.created_at })
    }
}

pub(crate) const CUSTOMER: &str = "customer";
pub(crate) const ADMIN: &str = "admin";

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
