//! Long texts of events, put back in the place of their references for subscriptions that want them inline.

use polytree_protocol::{
    event::BlobRef,
    id::{MessageId, SessionId},
    message::MessageWithParts,
};
use serde::Deserialize as _;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use crate::{daemon::Daemon, jsonrpc::framing::MESSAGE_LIMIT};

/// What a notification holds beside its event.
const ENVELOPE: usize = 1024;

/// The event with its texts. A reference stays where the store holds another text by now, and where the notification
/// would be longer than a message may be.
pub(super) async fn inline(daemon: &Daemon, event: Box<RawValue>) -> Box<RawValue> {
    // No text can hold this: its quotation marks would be escaped.
    if !event.get().contains(r#"{"ref":"/"#) {
        return event;
    }
    let Ok(mut value) = serde_json::from_str::<Value>(event.get()) else { return event };
    let Some(stored) = stored(daemon, &value).await else { return event };
    put_back(&mut value["properties"], &stored, &mut String::new());
    match to_raw_value(&value) {
        Ok(whole) if whole.get().len() <= MESSAGE_LIMIT - ENVELOPE => whole,
        _ => event,
    }
}

/// What an event tells of, as properties of the same form.
async fn stored(daemon: &Daemon, event: &Value) -> Option<Value> {
    let properties = &event["properties"];
    match event["type"].as_str()? {
        "message.updated" => Some(json!({ "info": message(daemon, &properties["info"], "id").await?.info })),
        "message.part.updated" => {
            let message = message(daemon, &properties["part"], "messageID").await?;
            let part = message.parts.into_iter().find(|part| properties["part"]["id"] == part.id().as_str())?;
            Some(json!({ "part": part }))
        }
        "permission.asked" => {
            let id = serde_json::from_value(properties["id"].clone()).ok()?;
            daemon.broker.get(id).await.ok()?.map(|permission| json!(permission))
        }
        "todo.updated" => {
            let session = SessionId::parse(properties["sessionID"].as_str()?).ok()?;
            Some(json!({ "todos": daemon.sessions.todos(&session).await.ok()? }))
        }
        _ => None,
    }
}

async fn message(daemon: &Daemon, owner: &Value, field: &str) -> Option<MessageWithParts> {
    let session = SessionId::parse(owner["sessionID"].as_str()?).ok()?;
    let message = MessageId::parse(owner[field].as_str()?).ok()?;
    daemon.sessions.message(&session, &message).await.ok()
}

fn put_back(value: &mut Value, stored: &Value, path: &mut String) {
    let length = path.len();
    if let Some(bytes) = reference(value, path) {
        let text = stored.pointer(path).and_then(Value::as_str);
        if let Some(text) = text.filter(|text| text.len() as u64 == bytes) {
            *value = text.into();
        }
        return;
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.push_str(&format!("/{index}"));
                put_back(item, stored, path);
                path.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                path.push('/');
                path.push_str(&name.replace('~', "~0").replace('/', "~1"));
                put_back(field, stored, path);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// The length of the text that a reference stands for. Only one that names its own place is a reference: the arguments of
/// a tool may look like one.
fn reference(value: &Value, path: &str) -> Option<u64> {
    let blob = BlobRef::deserialize(value).ok()?;
    (blob.reference == path).then_some(blob.bytes)
}
