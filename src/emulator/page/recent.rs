//! The last few of many things.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The newest things of a kind; older ones are forgotten.
#[derive(Debug)]
pub(super) struct Recent<T> {
    limit: usize,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    /// How many things there were; they are numbered from 0.
    count: u64,
    /// The last ones, the newest at the end.
    items: VecDeque<T>,
}

impl<T: Clone> Recent<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::new(Kept { count: 0, items: VecDeque::with_capacity(limit) }) }
    }

    /// Keeps a thing; answers its number.
    pub(super) fn push(&self, item: T) -> u64 {
        let mut kept = self.lock();
        if kept.items.len() == self.limit {
            kept.items.pop_front();
        }
        kept.items.push_back(item);
        kept.count += 1;
        kept.count - 1
    }

    /// Changes the thing with a number, unless it is forgotten.
    pub(super) fn update(&self, number: u64, change: impl FnOnce(&mut T)) {
        let mut kept = self.lock();
        let first = kept.count - kept.items.len() as u64;
        let at = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        if let Some(item) = at.and_then(|at| kept.items.get_mut(at)) {
            change(item);
        }
    }

    /// What is kept with its numbers, the newest first.
    pub(super) fn newest_first(&self) -> Vec<(u64, T)> {
        let kept = self.lock();
        (0..kept.count).rev().zip(kept.items.iter().rev().cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_can_be_changed() {
        let recent = Recent::new(2);
        assert_eq!(recent.newest_first(), []);
        let numbers = ["a", "b", "c"].map(|item| recent.push(item));
        for (number, item) in numbers.into_iter().zip(["A", "B", "C"]) {
            recent.update(number, |kept| *kept = item);
        }
        recent.update(numbers[2] + 1, |_| panic!("there is no such thing"));
        assert_eq!(recent.newest_first(), [(2, "C"), (1, "B")]);
    }
}
