//! Pages of lists.

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// The number of the page, from 1.
    pub number: u64,
    /// Items a page, at least 1.
    pub size: u32,
}

impl PageRequest {
    /// Items before this page.
    pub fn offset(self) -> u64 {
        (self.number.saturating_sub(1)).saturating_mul(u64::from(self.size))
    }

    /// The number of the last page of a list of `count` items; an empty list has one empty page.
    pub fn last_page(self, count: u64) -> u64 {
        count.div_ceil(u64::from(self.size)).max(1)
    }
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Which part it is.
    pub request: PageRequest,
    /// Items of the whole list.
    pub count: u64,
    /// The items of this page.
    pub items: Vec<T>,
}
