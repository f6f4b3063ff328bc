//! Products.

use sea_orm::entity::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "products")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    pub price_cents: i64,
    pub stock: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn shown(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "price_cents": self.price_cents, "stock": self.stock })
    }
}
