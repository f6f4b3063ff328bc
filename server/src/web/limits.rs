//! What a body may cost that is read whole.

/// Bounds of what is read into memory and taken apart. They apply besides [`http::Limits`](crate::http::Limits).
///
/// # Examples
/// ```
/// use phaseloop_server::web::{BodyLimits, koa::App};
///
/// let mut limits = BodyLimits::default();
/// limits.json_len_max = 1024 * 1024;
/// let mut app = App::new();
/// app.body_limits(limits);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyLimits {
    /// Bytes of a JSON body; 100 KiB as in Express. More are answered with 413. More than 127 levels of depth are a 400.
    pub json_len_max: usize,
    /// Bytes of a form; 100 KiB. More are answered with 413.
    pub form_len_max: usize,
    /// Fields of a form, and pairs of a query; 1,000. A form of more is answered with 413; of a query the rest is not seen.
    pub fields_max: usize,
    /// Bytes of a body that is read as text or as bytes; 1 MiB. More are answered with 413.
    pub text_len_max: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        let kib = 1024;
        Self { json_len_max: 100 * kib, form_len_max: 100 * kib, fields_max: 1000, text_len_max: 1024 * kib }
    }
}
