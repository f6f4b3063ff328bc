//! Orders.

use sea_orm::entity::prelude::*;
use serde_json::{Value, json};

use super::order_item;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orders")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub user_id: i64,
    /// By which a retry is known, together with the user.
    pub idem_key: String,
    /// Of what was ordered under that key.
    pub idem_hash: String,
    pub status: String,
    pub total_cents: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
    #[sea_orm(has_many = "super::order_item::Entity")]
    Items,
}

impl Related<super::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<super::order_item::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Items.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// An order with its items, as clients see it.
pub(crate) fn shown(order: &Model, items: &[order_item::Model]) -> Value {
    json!({
        "id": order.id,
        "user_id": order.user_id,
        "status": order.status,
        "total_cents": order.total_cents,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "items": items.iter().map(order_item::Model::shown).collect::<Vec<_>>(),
    })
}

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Paid,
    Shipped,
    Cancelled,
}

impl Status {
    pub(crate) const ALL: [Self; 4] = [Self::Pending, Self::Paid, Self::Shipped, Self::Cancelled];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether an order may go from here to there.
    pub(crate) fn may_become(self, next: Self) -> bool {
        use Status as S;
        matches!(
            (self, next),
            (S::Pending, S::Paid) | (S::Paid, S::Shipped) | (S::Pending | S::Paid, S::Cancelled)
        )
    }
}
