//! Work that several ask for at once is done once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OnceCell;

/// What is being made at the moment, by its key.
#[derive(Debug)]
pub(super) struct Flights<K, T>(Mutex<HashMap<K, Weak<OnceCell<T>>>>);

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T: Clone> Flights<K, T> {
    /// What `make` makes, or what somebody else makes at this moment for the same key. Where that fails or is given up, the next one
    /// who waits goes on with work of its own.
    pub(super) async fn join<E>(&self, key: K, make: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let flight = self.enter(key);
        flight.get_or_try_init(|| make).await.cloned()
    }

    fn enter(&self, key: K) -> Arc<OnceCell<T>> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, flight| flight.strong_count() > 0);
        if let Some(flight) = flights.get(&key).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::default();
        flights.insert(key, Arc::downgrade(&flight));
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn what_several_want_at_once_is_made_once_and_what_is_wanted_later_anew() {
        let (flights, times) = (Flights::default(), AtomicUsize::new(0));
        let make = async || {
            yield_now().await;
            Ok::<_, Infallible>(times.fetch_add(1, Ordering::Relaxed))
        };
        let (a, b, other) = tokio::join!(flights.join(1, make()), flights.join(1, make()), flights.join(2, make()));
        // Which of the two is made first is a matter of chance.
        assert!(a == b && a != other, "{a:?} {b:?} {other:?}");
        assert_eq!(flights.join(1, make()).await, Ok(2));
    }

    #[tokio::test]
    async fn after_a_failure_the_next_one_tries() {
        let (flights, tries) = (Flights::default(), AtomicUsize::new(0));
        let make = async || {
            yield_now().await;
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 => Err("the first one fails"),
                other => Ok(other),
            }
        };
        let (first, second) = tokio::join!(flights.join((), make()), flights.join((), make()));
        let failed = Err("the first one fails");
        assert!((first, second) == (failed, Ok(1)) || (first, second) == (Ok(1), failed), "{first:?} {second:?}");
    }
}
