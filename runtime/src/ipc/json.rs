//! Messages that are values of the program, by serde.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::channel::Channel;
use super::error::SendError;
use super::message::Message;

impl Message {
    /// A value, as JSON. In any framing.
    ///
    /// # Errors
    /// What serde says of a value that has no JSON, such as a map whose keys are no strings.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::ipc::Message;
    /// let message = Message::json(&("answer", 42))?;
    /// assert_eq!(message.bytes(), br#"["answer",42]"#);
    /// let (name, value): (String, u32) = message.parse()?;
    /// assert_eq!((name.as_str(), value), ("answer", 42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn json(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Self> {
        Ok(Self { is_json: true, ..Self::new(serde_json::to_vec(value)?) })
    }

    /// The value that the message is.
    ///
    /// # Errors
    /// What serde says, with the place, if it is another.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }
}

impl Channel {
    /// Sends a value as JSON.
    ///
    /// # Errors
    /// As [`send`](Self::send); `NotJson` for a value that has no JSON.
    pub fn send_json(&self, value: &(impl Serialize + ?Sized)) -> Result<(), SendError> {
        match Message::json(value) {
            Ok(message) => self.send(message),
            Err(error) => Err(SendError::NotJson { message: Message::new([]), reason: error.to_string() }),
        }
    }
}
