//! What is wrong with a request, field by field.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// What is wrong with the fields of a request: messages by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"expiry_minutes": ["A valid integer is required."]}))]
pub struct FieldErrors(BTreeMap<String, Messages>);

/// What is wrong with a field, or with items of a list by their places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
enum Messages {
    Field(Vec<String>),
    // The names of members are texts in JSON.
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    Items(BTreeMap<usize, Vec<String>>),
    /// The toolkit's form for parameters of a query.
    Parameter(String),
}

impl FieldErrors {
    /// One message about one field.
    pub fn of(name: &str, message: &str) -> Self {
        let mut errors = Self::default();
        errors.add(name, message);
        errors
    }

    /// One message about one parameter of a query.
    pub(super) fn of_parameter(name: &str, message: &str) -> Self {
        Self(BTreeMap::from([(name.to_owned(), Messages::Parameter(message.to_owned()))]))
    }

    /// Adds a message about a field.
    pub(super) fn add(&mut self, name: &str, message: impl Into<String>) {
        match self.0.entry(name.to_owned()).or_insert_with(|| Messages::Field(Vec::new())) {
            Messages::Field(messages) => messages.push(message.into()),
            Messages::Items(_) | Messages::Parameter(_) => {}
        }
    }

    /// Adds what is wrong with items of a list.
    pub(super) fn add_items(&mut self, name: &str, items: BTreeMap<usize, Vec<String>>) {
        self.0.insert(name.to_owned(), Messages::Items(items));
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails if anything is wrong.
    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}
