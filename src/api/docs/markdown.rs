//! The little Markdown that descriptions are written in: paragraphs, lists and code.

/// A paragraph or a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Block {
    Paragraph(Vec<Inline>),
    List(Vec<Vec<Inline>>),
}

/// A part of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inline {
    Text(String),
    Code(String),
}

/// Takes a text apart at empty lines.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    text.split("\n\n").filter(|block| !block.trim().is_empty()).map(block).collect()
}

fn block(text: &str) -> Block {
    match text.strip_prefix("- ") {
        Some(items) => Block::List(items.split("\n- ").map(inlines).collect()),
        None => Block::Paragraph(inlines(text)),
    }
}

/// Takes a text apart at back quotes; the ends of lines are blanks.
pub(super) fn inlines(text: &str) -> Vec<Inline> {
    let text = text.replace('\n', " ");
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    let to_inline = |(at, part): (usize, &str)| match at % 2 {
        0 => Inline::Text(part.to_owned()),
        _ => Inline::Code(part.to_owned()),
    };
    parts.map(to_inline).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_lists_and_code_are_told_apart() {
        let (text, code) = (|text: &str| Inline::Text(text.to_owned()), |text: &str| Inline::Code(text.to_owned()));
        let found = blocks("One\nline with `code`.\n\n- `a`: first\n- second,\n  on two\n\n\n");
        let want = [
            Block::Paragraph(vec![text("One line with "), code("code"), text(".")]),
            Block::List(vec![vec![code("a"), text(": first")], vec![text("second,   on two")]]),
        ];
        assert_eq!(found, want);
        assert_eq!(blocks(""), []);
    }
}
