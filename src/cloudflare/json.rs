//! JSON as it is sent to Cloudflare, and as it is read from there.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::transport::{Account, Call, always};
use super::{Client, Error, Operation};

impl Client {
    /// Gets what is at a path. `problem` says what the answer is not, if it is not what it should be.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        operation: Operation,
        path: &str,
        problem: &'static str,
    ) -> Result<T, Error> {
        from_result(&self.transport.call(operation, |account| account.get(path)).await?, problem)
    }

    /// Gets a list, as far as its entries can be read. No list is an empty one.
    pub(super) async fn list<T: DeserializeOwned>(&self, operation: Operation, path: &str) -> Result<Vec<T>, Error> {
        match self.transport.send(operation, |account| account.get(path)).await? {
            Some(result) => Ok(readable(&from_result::<Vec<Value>>(&result, "it is no list")?)),
            None => Ok(Vec::new()),
        }
    }

    /// Sends `body` to a path, and takes `result`, which must be there, out of the answer.
    pub(super) async fn write(
        &self,
        call: impl Into<Call>,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Box<RawValue>, Error> {
        let body = to_json(body)?;
        self.transport.call(call, |account| with_json(account, method.clone(), path, &body)).await
    }

    /// Sends `body` to a path, whatever `result` is.
    pub(super) async fn change(
        &self,
        operation: Operation,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), Error> {
        let body = to_json(body)?;
        self.transport.send(operation, |account| with_json(account, method.clone(), path, &body)).await.map(drop)
    }

    /// Deletes what is at a path. What is not there counts as deleted.
    pub(super) async fn delete(&self, operation: Operation, path: &str) -> Result<(), Error> {
        self.delete_if(operation, path, always).await
    }

    /// The same, if that is meant still when its turn has come.
    pub(super) async fn delete_if<M: Future<Output = bool>>(
        &self,
        operation: Operation,
        path: &str,
        is_meant: impl Fn() -> M,
    ) -> Result<(), Error> {
        match self.transport.send_if(operation, |account| account.request(Method::DELETE, path), is_meant).await {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer.map(drop),
        }
    }
}

fn to_json(body: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(body).map_err(|_| Error::Malformed("the request is no JSON"))
}

/// A request whose body is JSON.
fn with_json(account: &Account, method: Method, path: &str, json: &str) -> RequestBuilder {
    account.request(method, path).header(CONTENT_TYPE, "application/json").body(json.to_owned())
}

/// Reads `result` of an answer.
pub(super) fn from_result<T: DeserializeOwned>(result: &RawValue, problem: &'static str) -> Result<T, Error> {
    serde_json::from_str(result.get()).map_err(|_| Error::Malformed(problem))
}

/// The id of what was made.
pub(super) fn id_in(result: &RawValue) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    Ok(from_result::<Made>(result, "it has no id")?.id)
}

/// Reads the entries of a list that can be read.
fn readable<T: DeserializeOwned>(entries: &[Value]) -> Vec<T> {
    // An array would pass for an object with its fields in order.
    entries.iter().filter(|entry| entry.is_object()).filter_map(|entry| T::deserialize(entry).ok()).collect()
}

/// Reads a value, or nothing where it is another kind of value.
pub(super) fn lenient<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// Reads a value, or its default where it is another kind of value.
pub(super) fn or_default<'de, T: DeserializeOwned + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(lenient(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{NotificationPolicy, WebhookDestination};
    use super::*;

    /// Any JSON, most often objects with fields of Cloudflare's names.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-zé0-9:TZ-]{0,12}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            Just("id"),
            Just("name"),
            Just("mechanisms"),
            Just("webhooks"),
            Just("enabled"),
            Just("type"),
            Just("url"),
            Just("created"),
            Just("last_success"),
            Just("alert_type"),
        ];
        leaf.prop_recursive(3, 24, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((name.clone(), inner), 0..6)
                    .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_entry_is_read_if_it_has_an_id_whatever_else_it_says(entry in any_json()) {
            let has_id = entry.get("id").is_some_and(Value::is_string);
            let entries = [entry];
            prop_assert_eq!(readable::<NotificationPolicy>(&entries).len(), usize::from(has_id));
            prop_assert_eq!(readable::<WebhookDestination>(&entries).len(), usize::from(has_id));
        }
    }
}
