//! Keyset pagination: a cursor names a place in the order by its sort key and id, so pages neither skip nor repeat while
//! documents come and go. <https://relay.dev/graphql/connections.htm>

use super::QueryError;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mongodb::bson::{Bson, Document, doc};

/// Ascending or descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Asc,
    Desc,
}

/// The arguments of a connection.
#[derive(Debug, Clone, Default)]
pub struct PageArgs {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// One page, in the order asked for, with the cursor of each item.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<(String, T)>,
    pub has_next: bool,
    pub has_previous: bool,
}

/// The items of a page when neither `first` nor `last` is given.
pub const DEFAULT_PAGE: i32 = 20;
/// The most items of a page; asking for more is an error, not a smaller page.
pub const MAX_PAGE: i32 = 100;

/// A sort key: its name in cursors, its field in documents.
#[derive(Debug, Clone, Copy)]
pub struct SortKey {
    pub name: &'static str,
    pub field: &'static str,
    pub direction: Direction,
}

/// What to ask the database for one page.
#[derive(Debug)]
pub struct Plan {
    pub filter: Document,
    pub sort: Document,
    /// One more than the page has, to know whether there are more.
    pub limit: i64,
    backward: bool,
    cut: bool,
}

/// Checks the arguments and makes the plan.
///
/// # Errors
/// A page size out of bounds, `first` together with `last`, or a cursor of another list.
pub fn plan(args: &PageArgs, filter: Document, key: SortKey) -> Result<Plan, QueryError> {
    let size = match (args.first, args.last) {
        (Some(_), Some(_)) => return Err(QueryError::BadInput("give first or last, not both".into())),
        (Some(n), None) | (None, Some(n)) => n,
        (None, None) => DEFAULT_PAGE,
    };
    if !(0..=MAX_PAGE).contains(&size) {
        return Err(QueryError::BadInput(format!("a page has 0 to {MAX_PAGE} items")));
    }
    let backward = args.last.is_some();
    let mut parts = vec![filter];
    if let Some(after) = &args.after {
        parts.push(beyond(key, after, key.direction)?);
    }
    if let Some(before) = &args.before {
        parts.push(beyond(key, before, flip(key.direction))?);
    }
    parts.retain(|part| !part.is_empty());
    let filter = match parts.len() {
        0 => Document::new(),
        1 => parts.remove(0),
        _ => doc! { "$and": parts },
    };
    let order = match if backward { flip(key.direction) } else { key.direction } {
        Direction::Asc => 1,
        Direction::Desc => -1,
    };
    let mut sort = doc! { key.field: order };
    sort.insert("_id", order);
    let cut = if backward { args.before.is_some() } else { args.after.is_some() };
    Ok(Plan { filter, sort, limit: i64::from(size) + 1, backward, cut })
}

impl Plan {
    /// Whether the page is empty by wish; MongoDB would read a limit of one as one too many.
    pub fn is_empty(&self) -> bool {
        self.limit == 1
    }

    /// Makes the page from what was found.
    pub fn page<T>(self, mut found: Vec<T>, cursor: impl Fn(&T) -> String) -> Page<T> {
        let size = usize::try_from(self.limit - 1).unwrap_or_default();
        let more = found.len() > size;
        found.truncate(size);
        if self.backward {
            found.reverse();
        }
        // There is something on the side we came from: at least what the cursor named.
        let (has_next, has_previous) = if self.backward { (self.cut, more) } else { (more, self.cut) };
        Page { items: found.into_iter().map(|item| (cursor(&item), item)).collect(), has_next, has_previous }
    }
}

fn flip(direction: Direction) -> Direction {
    match direction {
        Direction::Asc => Direction::Desc,
        Direction::Desc => Direction::Asc,
    }
}

/// The cursor of a document with this value of the sort field.
pub fn cursor(key: SortKey, value: &Bson, id: &str) -> String {
    let value = match value {
        Bson::DateTime(at) => at.timestamp_millis().to_string(),
        Bson::Int64(n) => n.to_string(),
        Bson::String(text) => text.clone(),
        other => other.to_string(),
    };
    // The id first: it has no separator in it, a text may.
    URL_SAFE_NO_PAD.encode(format!("{}|{}|{id}|{value}", key.name, kind_of(key)))
}

/// Texts, dates and numbers are written apart so that they come back as what they were.
fn kind_of(key: SortKey) -> char {
    match key.field {
        "placedAt" | "updatedAt" => 'd',
        "name" => 't',
        _ => 'n',
    }
}

fn beyond(key: SortKey, cursor: &str, direction: Direction) -> Result<Document, QueryError> {
    let wrong = || QueryError::BadInput("this cursor is not from this list in this order; start again without it".into());
    if cursor.len() > 2_000 {
        return Err(wrong());
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?).map_err(|_| wrong())?;
    let mut parts = text.splitn(4, '|');
    let (name, kind, id, value) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(name), Some(kind), Some(id), Some(value)) = (name, kind, id, value) else { return Err(wrong()) };
    if name != key.name || kind != kind_of(key).to_string() {
        return Err(wrong());
    }
    let value = match kind_of(key) {
        'd' => Bson::DateTime(mongodb::bson::DateTime::from_millis(value.parse().map_err(|_| wrong())?)),
        'n' => Bson::Int64(value.parse().map_err(|_| wrong())?),
        _ => Bson::String(value.to_owned()),
    };
    let operator = match direction {
        Direction::Asc => "$gt",
        Direction::Desc => "$lt",
    };
    // Written as a bound on the field and an exception for ties, so that the index on (field, _id) is entered at the cursor.
    let inclusive = format!("{operator}e");
    Ok(doc! {
        key.field: { inclusive: value.clone() },
        "$or": [{ key.field: { operator: value } }, { "_id": { operator: id } }],
    })
}
