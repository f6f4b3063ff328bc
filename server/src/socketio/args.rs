//! What an event carries: JSON values, and bytes in between.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::proto::socketio::{placeholder, placeholder_for};

/// The arguments of an event or an acknowledgement. Bytes stand in the values as placeholders.
///
/// # Examples
/// ```
/// use phaseloop_server::socketio::Args;
/// use serde_json::json;
///
/// let mut args = Args::new();
/// args.push("a caption");
/// let picture = args.attach(vec![1, 2, 3]);
/// args.push(json!({ "picture": picture, "width": 1 }));
///
/// assert_eq!(args.get::<String>(0)?, "a caption");
/// assert_eq!(args.bytes(&args.values()[1]["picture"]).map(|bytes| bytes.len()), Some(3));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args {
    values: Vec<Value>,
    attachments: Vec<Bytes>,
}

impl Args {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(values: Vec<Value>, attachments: Vec<Bytes>) -> Self {
        Self { values, attachments }
    }

    pub(crate) fn into_parts(self) -> (Vec<Value>, Vec<Bytes>) {
        (self.values, self.attachments)
    }

    /// Adds an argument.
    pub fn push(&mut self, value: impl Into<Value>) {
        self.values.push(value.into());
    }

    /// Adds an argument that is bytes.
    pub fn push_bytes(&mut self, bytes: impl Into<Bytes>) {
        let value = self.attach(bytes);
        self.values.push(value);
    }

    /// Takes bytes along, and gives the value that stands for them in an argument.
    pub fn attach(&mut self, bytes: impl Into<Bytes>) -> Value {
        self.attachments.push(bytes.into());
        placeholder_for(self.attachments.len() - 1)
    }

    /// The bytes that a value stands for.
    pub fn bytes(&self, value: &Value) -> Option<&Bytes> {
        self.attachments.get(placeholder(value)?)
    }

    /// All arguments.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One argument, as a type of yours. One that is missing is taken as `null`.
    ///
    /// # Errors
    /// It is of another shape.
    pub fn get<T: DeserializeOwned>(&self, number: usize) -> serde_json::Result<T> {
        T::deserialize(self.values.get(number).unwrap_or(&Value::Null))
    }

    /// All arguments as a tuple.
    ///
    /// # Errors
    /// Their number or one of their shapes is another.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_value(Value::Array(self.values.clone()))
    }
}

/// What can be sent with an event. A value is one argument; a tuple, up to four, is several.
pub trait IntoArgs {
    /// Makes arguments of it.
    fn into_args(self) -> Args;
}

impl IntoArgs for Args {
    fn into_args(self) -> Args {
        self
    }
}

impl IntoArgs for () {
    fn into_args(self) -> Args {
        Args::new()
    }
}

impl IntoArgs for Bytes {
    /// One argument that is bytes.
    fn into_args(self) -> Args {
        let mut args = Args::new();
        args.push_bytes(self);
        args
    }
}

macro_rules! one_argument {
    ($($type:ty),*) => {
        $(impl IntoArgs for $type {
            fn into_args(self) -> Args {
                Args::of(vec![self.into()], Vec::new())
            }
        })*
    };
}

one_argument!(Value, &str, String, bool, i32, u32, i64, u64, f64);

macro_rules! several_arguments {
    ($($type:ident $name:ident),*) => {
        impl<$($type: Serialize),*> IntoArgs for ($($type,)*) {
            /// What can not be JSON, such as a map whose keys are no strings, becomes `null`.
            fn into_args(self) -> Args {
                let ($($name,)*) = self;
                Args::of(vec![$(serde_json::to_value($name).unwrap_or(Value::Null)),*], Vec::new())
            }
        }
    };
}

several_arguments!(A a);
several_arguments!(A a, B b);
several_arguments!(A a, B b, C c);
several_arguments!(A a, B b, C c, D d);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_read_as_types() {
        let args = (1, "two", [3]).into_args();
        assert_eq!(args.parse::<(u8, String, Vec<u8>)>().unwrap(), (1, "two".to_owned(), vec![3]));
        assert_eq!(args.get::<Option<u8>>(7).unwrap(), None);
        assert!(args.get::<u8>(1).is_err());
    }

    #[test]
    fn bytes_are_found_again() {
        let args = Bytes::from_static(b"abc").into_args();
        assert_eq!(args.values(), [json!({"_placeholder": true, "num": 0})]);
        assert_eq!(args.bytes(&args.values()[0]).unwrap(), "abc");
        assert_eq!(args.bytes(&json!({"_placeholder": true, "num": 1})), None);
    }
}
