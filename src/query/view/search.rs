//! Search by words: documents hold their words in lower case, and a query finds the documents that for each of its words have one
//! that begins with it. A range on a multikey index answers that; a pattern would not always use the index.

/// The words of a text, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The terms of a document: the words of its texts, each once.
pub fn terms<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    /// A document has at most this many terms; more lines than that are found by the first ones.
    const MOST: usize = 200;
    let mut seen = std::collections::HashSet::new();
    texts.into_iter().flat_map(words).filter(|word| seen.insert(word.clone())).take(MOST).collect()
}

/// The bounds between which every text lies that begins with `prefix`: inclusive and exclusive.
pub fn prefix_range(prefix: &str) -> (String, String) {
    (prefix.to_owned(), format!("{prefix}\u{10ffff}"))
}
