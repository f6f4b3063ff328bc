//! Users: registering, logging in, and profiles, which are read from the cache first.

use std::rc::Rc;
use std::time::Duration;

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use super::passwords::Passwords;
use super::tokens::{Claims, Identity};
use crate::log::{Log, now_ms};
use crate::models::user;
use crate::refusal::Refusal;
use crate::stores::database::{is_taken, refusal};
use crate::stores::{Cache, Database, LocalCache};

/// How long a profile is kept, and who a user is, plus up to a tenth.
const TTL: Duration = Duration::from_secs(30);

pub(crate) struct Users {
    database: Rc<Database>,
    cache: Rc<dyn Cache>,
    /// Users as tokens name them. Of this process: each request with a token asks for one, and what is there does not change.
    known: LocalCache,
    passwords: Passwords,
    log: Log,
}

/// Where a profile came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Cache,
    Database,
}

impl Users {
    pub(crate) fn new(
        database: &Rc<Database>,
        cache: &Rc<dyn Cache>,
        passwords: Passwords,
        log: &Log,
    ) -> Self {
        let (database, cache, known) = (Rc::clone(database), Rc::clone(cache), LocalCache::default());
        Self { database, cache, known, passwords, log: log.clone() }
    }

    /// Makes a user of a name that is free.
    pub(crate) async fn register(&self, name: &str, password: &str) -> Result<user::Model, Refusal> {
        user::check_name(name).and_then(|()| user::check_password(password)).map_err(Refusal::bad_request)?;
        if self.find(name).await?.is_some() {
            return Err(taken(name));
        }
        self.insert(name, password, user::CUSTOMER).await
    }

    /// The user of this name, if this is the password.
    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Result<user::Model, Refusal> {
        let wrong = || Refusal::unauthorized("there is no user of this name and password");
        if user::check_name(name).and_then(|()| user::check_password(password)).is_err() {
            return Err(wrong());
        }
        let found = self.find(name).await?;
        let stored = found.as_ref().map(|user| user.password.as_str());
        let fits = self.passwords.fits(password, stored).await?;
        found.filter(|_| fits).ok_or_else(wrong)
    }

    /// Sees to it that there is this admin, with this password. Where it is changed, tokens from before are nobody's: who had the name, or the
    /// password, until then may be somebody else.
    pub(crate) async fn ensure_admin(&self, name: &str, password: &str) -> Result<(), Refusal> {
        let Some(found) = self.find(name).await? else {
            return match self.insert(name, password, user::ADMIN).await {
                Err(refusal) if refusal.code == "conflict" => Ok(()), // another worker was first
                outcome => outcome.map(drop),
            };
        };
        if found.role == user::ADMIN && self.passwords.fits(password, Some(&found.password)).await? {
            return Ok(());
        }
        let sealed = self.passwords.seal(password).await?;
        let changing = user::Entity::update_many()
            .col_expr(user::Column::Role, user::ADMIN.into())
            .col_expr(user::Column::Password, sealed.into())
            .col_expr(user::Column::CreatedAt, now_ms().max(found.created_at + 1).into())
            .filter(user::Column::Id.eq(found.id))
            .filter(user::Column::Password.eq(found.password)); // another worker was first
        self.database.within(changing.exec(self.database.writer())).await.map(drop)
    }

    /// Who it is that a token was given to, if this database knows the one it names: after it was made anew or set back, an id is
    /// somebody else's.
    pub(crate) async fn identify(&self, claims: &Claims) -> Result<Identity, Refusal> {
        let Claims { id, name, created_at, .. } = claims;
        let key = format!("{id}:{created_at}:{name}");
        if let Some(role) = self.known.get(&key).await? {
            return Ok(Identity { id: *id, name: name.clone(), role });
        }
        let found = user::Entity::find_by_id(*id).one(self.database.fresh());
        let found = self.database.within(found).await?;
        let user = found.filter(|user| user.name == *name && user.created_at == *created_at);
        let user =
            user.ok_or_else(|| Refusal::unauthorized("the token's user is not known here: log in again"))?;
        self.known.set(&key, user.role.clone(), TTL).await?;
        Ok(Identity { id: user.id, name: user.name, role: user.role })
    }

    /// A user, as the database has it.
    pub(crate) async fn by_id(&self, id: i64) -> Result<user::Model, Refusal> {
        let found = user::Entity::find_by_id(id).one(self.database.fresh());
        self.database.within(found).await?.ok_or_else(|| Refusal::not_found(format!("there is no user {id}")))
    }

    /// A user with what it has bought: from the cache, or from the database and then into the cache. Without the cache it is
    /// slower, and no worse.
    pub(crate) async fn profile(&self, id: i64) -> Result<(Value, From), Refusal> {
        let key = profile_key(id);
        match self.cache.get(&key).await {
            Ok(Some(text)) => match serde_json::from_str(&text) {
                Ok(profile) => return Ok((profile, From::Cache)),
                Err(error) => self.log.warn("cache", &[("key", &key), ("error", &error)]),
            },
            Ok(None) => {}
            Err(error) => self.log.warn("cache", &[("key", &key), ("error", &error)]),
        }
        let user = self.by_id(id).await?;
        let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(total_cents), 0) AS SIGNED) FROM orders \
                   WHERE user_id = ? AND status IN ('paid', 'shipped')";
        // Not from a replica: what it has not heard of yet would stay in the cache.
        let rows = self.database.fresh_rows(sql, vec![id.into()]).await?;
        let row = rows.first().ok_or_else(|| Refusal::internal("a count without a row"))?;
        let number = |at| row.try_get_by_index::<i64>(at).map_err(|error| refusal(&error));
        let orders = json!({ "count": number(0)?, "spent_cents": number(1)? });
        let profile = json!({ "user": user.shown(), "orders": orders });
        if let Err(error) = self.cache.set(&key, profile.to_string(), TTL).await {
            self.log.warn("cache", &[("key", &key), ("error", &error)]);
        }
        Ok((profile, From::Database))
    }

    async fn find(&self, name: &str) -> Result<Option<user::Model>, Refusal> {
        let found = user::Entity::find().filter(user::Column::Name.eq(name)).one(self.database.fresh());
        self.database.within(found).await
    }

    async fn insert(&self, name: &str, password: &str, role: &str) -> Result<user::Model, Refusal> {
        let new = user::ActiveModel {
            id: NotSet,
            name: Set(name.to_owned()),
            role: Set(role.to_owned()),
            password: Set(self.passwords.seal(password).await?),
            created_at: Set(now_ms()),
        };
        let inserting = async {
            match new.insert(self.database.writer()).await {
                Err(error) if is_taken(&error) => Ok(None),
                outcome => outcome.map(Some),
            }
        };
        self.database.within(inserting).await?.ok_or_else(|| taken(name))
    }
}

/// Where a profile is in the cache.
pub(super) fn profile_key(user: i64) -> String {
    format!("profile:{user}")
}

fn taken(name: &str) -> Refusal {
    Refusal::conflict("conflict", format!("the name {name:?} is taken"))
}
