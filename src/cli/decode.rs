//! Decodes notifications of a subscription to typed events. Fetches long texts that an event omits, and skips later events
//! that such a snapshot already contains.

use std::collections::HashMap;

use polytree_protocol::{
    event::Event,
    events::{EventPayload, PartInfo},
    id::{MessageId, PartId, PermissionId, SessionId},
    methods::{PermissionList, SessionMessage},
    permission::PermissionListParams,
    session::SessionMessageParams,
};
use serde_json::{Value, json};

use super::client::{Daemon, Failure};
use crate::jsonrpc::peer::{ErrorObject, Notification};

/// Decodes the events of one subscription.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Fetched parts, each with the cursor of the last event that it contains.
    fetched: HashMap<PartId, u64>,
}

/// The event of a notification in its wire form; `None` for other notifications.
///
/// # Errors
/// If the notification is the end of the subscription.
pub fn event(notification: Notification) -> Result<Option<Value>, Failure> {
    let Value::Object(mut params) = notification.params else { return Ok(None) };
    if notification.method != "event" {
        return Ok(None);
    }
    if let Some(error) = params.remove("error") {
        return Err(Failure::Refused(serde_json::from_value::<ErrorObject>(error).map_err(Failure::Shape)?));
    }
    Ok(params.remove("result"))
}

impl Decoder {
    /// The typed event; `None` if it is unknown, or contained in a fetched part.
    ///
    /// # Errors
    /// If a text cannot be fetched.
    pub async fn decode(&mut self, event: Value, daemon: &Daemon) -> Result<Option<EventPayload>, Failure> {
        let Ok(event) = serde_json::from_value::<Event>(event) else { return Ok(None) };
        if let Some(id) = part_id(&event.properties)
            && self.fetched.get(&id).is_some_and(|cursor| event.cursor <= *cursor)
        {
            return Ok(None);
        }
        if has_reference(&event.properties) {
            return self.fetch(event, daemon).await;
        }
        Ok(payload(&event.kind, event.properties))
    }

    async fn fetch(&mut self, event: Event, daemon: &Daemon) -> Result<Option<EventPayload>, Failure> {
        let at = |name: &str| event.properties.pointer(name).and_then(Value::as_str);
        match event.kind.as_str() {
            "message.part.updated" | "message.part.delta" => {
                let (session, message) = (at("/part/sessionID").or(at("/sessionID")), at("/part/messageID").or(at("/messageID")));
                let ids = (
                    session.and_then(|id| SessionId::parse(id).ok()),
                    message.and_then(|id| MessageId::parse(id).ok()),
                    part_id(&event.properties),
                );
                let (Some(session_id), Some(message_id), Some(id)) = ids else { return Ok(None) };
                let found = daemon
                    .request::<SessionMessage>(&SessionMessageParams { session_id, message_id, ..SessionMessageParams::default() })
                    .await?;
                let part = found.parts.into_iter().find(|part| *part.id() == id);
                self.fetched.insert(id, found.cursor);
                Ok(part.map(|part| EventPayload::MessagePartUpdated(PartInfo { part })))
            }
            "permission.asked" => {
                let (id, session_id) =
                    (at("/id").and_then(|id| PermissionId::parse(id).ok()), at("/sessionID").and_then(|id| SessionId::parse(id).ok()));
                let open =
                    daemon.request::<PermissionList>(&PermissionListParams { session_id, ..PermissionListParams::default() }).await?;
                // If it is not open any more, another client has answered it.
                Ok(open.into_iter().find(|question| Some(&question.id) == id.as_ref()).map(EventPayload::PermissionAsked))
            }
            // The long texts of other events are not needed here.
            _ => {
                let mut properties = event.properties;
                blank_references(&mut properties);
                Ok(payload(&event.kind, properties))
            }
        }
    }
}

fn payload(kind: &str, properties: Value) -> Option<EventPayload> {
    serde_json::from_value(json!({ "type": kind, "properties": properties })).ok()
}

fn part_id(properties: &Value) -> Option<PartId> {
    let id = properties.pointer("/part/id").or_else(|| properties.get("partID"))?.as_str()?;
    PartId::parse(id).ok()
}

/// Whether a value is the placeholder of an omitted text.
fn is_reference(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| {
        fields.len() == 2 && fields.get("ref").is_some_and(Value::is_string) && fields.get("bytes").is_some_and(Value::is_u64)
    })
}

fn has_reference(value: &Value) -> bool {
    is_reference(value)
        || match value {
            Value::Array(items) => items.iter().any(has_reference),
            Value::Object(fields) => fields.values().any(has_reference),
            _ => false,
        }
}

fn blank_references(value: &mut Value) {
    if is_reference(value) {
        *value = Value::String(String::new());
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(blank_references),
        Value::Object(fields) => fields.values_mut().for_each(blank_references),
        _ => {}
    }
}
