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

/// Where a part of a list begins or ends that is found by the places of its items, so that it costs the same wherever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFrom<P> {
    /// With the first item.
    Start,
    /// Right after a place.
    After(P),
    /// So that it ends right before a place.
    Before(P),
}

impl<P> PageFrom<P> {
    /// The same with the place in another form.
    pub fn map<Q>(self, change: impl FnOnce(P) -> Q) -> PageFrom<Q> {
        match self {
            Self::Start => PageFrom::Start,
            Self::After(place) => PageFrom::After(change(place)),
            Self::Before(place) => PageFrom::Before(change(place)),
        }
    }

    /// Whether items are looked for against the order of the list.
    pub fn is_backward(&self) -> bool {
        matches!(self, Self::Before(_))
    }
}

/// A part of a list, and where its neighbours are.
#[derive(Debug, Clone)]
pub struct Stretch<T, P> {
    /// The items of this part.
    pub items: Vec<T>,
    /// The place that the part before ends right before; none where this is the first.
    pub previous: Option<P>,
    /// The place that the next part begins right after; none where this is the last.
    pub next: Option<P>,
}

impl<T, P> Stretch<T, P> {
    /// Makes a part of at most `size` of the items that were found from a place on, in the order of the list. One item more than that
    /// says that there is another part in the direction of the way.
    pub fn cut(mut items: Vec<T>, size: u32, from: &PageFrom<P>, place: impl Fn(&T) -> P) -> Self {
        let has_more = items.len() > usize::try_from(size).unwrap_or(usize::MAX);
        let (has_previous, has_next) = match from {
            PageFrom::Start => (false, has_more),
            PageFrom::After(_) => (true, has_more),
            PageFrom::Before(_) => (has_more, true),
        };
        match from {
            PageFrom::Before(_) if has_more => drop(items.remove(0)),
            _ if has_more => drop(items.pop()),
            _ => {}
        }
        Self {
            previous: items.first().filter(|_| has_previous).map(&place),
            next: items.last().filter(|_| has_next).map(&place),
            items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_know_their_neighbours() {
        let cut = |items: &[i64], from| {
            let Stretch { items, previous, next } = Stretch::cut(items.to_vec(), 2, &from, |item| *item);
            (items, previous, next)
        };
        assert_eq!(cut(&[1, 2], PageFrom::Start), (vec![1, 2], None, None));
        assert_eq!(cut(&[1, 2, 3], PageFrom::Start), (vec![1, 2], None, Some(2)));
        assert_eq!(cut(&[3, 4, 5], PageFrom::After(2)), (vec![3, 4], Some(3), Some(4)));
        assert_eq!(cut(&[5], PageFrom::After(4)), (vec![5], Some(5), None));
        assert_eq!(cut(&[2, 3, 4], PageFrom::Before(5)), (vec![3, 4], Some(3), Some(4)));
        assert_eq!(cut(&[1, 2], PageFrom::Before(3)), (vec![1, 2], None, Some(2)));
        assert_eq!(cut(&[], PageFrom::After(9)), (vec![], None, None));
    }
}
