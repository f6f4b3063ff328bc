//! Without the feature `ws-deflate`: nothing is ever compressed, and no value of these types exists.

use super::Fault;

/// Unpacks the messages of one peer.
pub(crate) enum Inflater {}

impl Inflater {
    pub(crate) fn inflate(&mut self, _: &[u8], _: &mut Vec<u8>, _: usize) -> Result<(), Fault> {
        match *self {}
    }

    pub(crate) fn finish(&mut self, _: &mut Vec<u8>, _: usize) -> Result<(), Fault> {
        match *self {}
    }
}

/// Packs messages for one peer.
pub(crate) enum Deflater {}

impl Deflater {
    pub(crate) fn deflate(&mut self, _: &[u8]) -> Option<Vec<u8>> {
        match *self {}
    }
}
