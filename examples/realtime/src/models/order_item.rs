//! What an order is of.

use sea_orm::entity::prelude::*;
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "order_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub order_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub product_id: i64,
    /// As it was when it was ordered.
    pub name: String,
    pub quantity: i64,
    /// Of one piece, as it was when it was ordered.
    pub price_cents: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::order::Entity", from = "Column::OrderId", to = "super::order::Column::Id")]
    Order,
}

impl Related<super::order::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Order.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn shown(&self) -> Value {
        json!({
            "product": self.product_id,
            "name": self.name,
            "quantity": self.quantity,
            "price_cents": self.price_cents,
        })
    }
}
