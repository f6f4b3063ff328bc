//! Packets of Engine.IO and Socket.IO.

use super::text;
use crate::proto::engineio::{self, SEPARATOR};
use crate::proto::socketio as packets;

const ATTACHMENTS_MAX: usize = 10;

/// Every packet of a payload is read or refused, and binary ones are written as they were read.
pub fn engineio(data: &[u8]) {
    let Some(payload) = text(data) else { return };
    for packet in payload.split(SEPARATOR) {
        if let Ok(engineio::Packet::Binary(bytes)) = engineio::decode(packet) {
            let again = engineio::encode_binary(&bytes);
            assert_eq!(engineio::decode(&again), Ok(engineio::Packet::Binary(bytes)));
        }
    }
}

/// A packet is written so that it is read as the same, and has no more attachments than allowed.
pub fn socketio(data: &[u8]) {
    let Some(Ok(packet)) = text(data).map(|text| packets::decode(text, ATTACHMENTS_MAX)) else { return };
    assert!(packet.attachments <= ATTACHMENTS_MAX, "{} attachments", packet.attachments);
    let written = packets::encode(&packet);
    let again = packets::decode(&written[1..], ATTACHMENTS_MAX).expect("it was read before");
    assert_eq!(
        (again.kind, &again.namespace, again.id, again.attachments),
        (packet.kind, &packet.namespace, packet.id, packet.attachments)
    );
    // Numbers are read to the nearest bit but one, so values are not compared.
    assert_eq!(again.data.is_some(), packet.data.is_some());
}
