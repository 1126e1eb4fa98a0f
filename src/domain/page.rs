//! Pages of lists.

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Items before the part.
    pub offset: u64,
    /// The most items of the part, at least 1.
    pub size: u32,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Items of the whole list.
    pub count: u64,
    /// The items of this part.
    pub items: Vec<T>,
}
