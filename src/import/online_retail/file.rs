//! The bytes of a CSV file as records that know their line.
//!
//! A parser reads on behind a quote that is never closed, and swallows the rows that follow. Such a record is given back as torn,
//! and reading goes on with the next line, so that one bad line costs one row.

use csv::{ByteRecord, Position, Reader, ReaderBuilder};
use std::{borrow::Cow, io::Cursor};

/// One record that is not blank.
pub(super) struct Record {
    /// The line it begins in, counted from 1.
    pub line: u64,
    pub fields: ByteRecord,
    /// Its quotes are broken, so its fields mean nothing.
    pub torn: bool,
}

pub(super) struct Records<'a> {
    bytes: &'a [u8],
    reader: Reader<Cursor<&'a [u8]>>,
}

impl<'a> Records<'a> {
    /// Reads UTF-8 or Latin-1, with or without a byte order mark.
    pub fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // Flexible: a row with a field too many is one bad row, not the end of the file.
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Cursor::new(bytes));
        Self { bytes, reader }
    }

    /// The next record. One that goes over several lines (a quoted field may hold line breaks) is taken for whole only when its
    /// quotes are in order and it has `width` fields; otherwise it is a lost quote.
    pub fn read(&mut self, width: Option<usize>) -> csv::Result<Option<Record>> {
        loop {
            let (from, line) = (offset(self.reader.position()), self.reader.position().line());
            let mut fields = ByteRecord::new();
            if !self.reader.read_byte_record(&mut fields)? {
                return Ok(None);
            }
            // The parser counts the line ends before a record to it: blank lines, and the second half of CR LF.
            let raw = self.bytes.get(from..offset(self.reader.position())).unwrap_or_default();
            let gap = raw.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let (blank, raw) = raw.split_at(gap);
            let line = line + blank.split(|byte| *byte == b'\n').skip(1).count() as u64;
            let text = raw.trim_ascii_end();

            let first_end = text.iter().position(|byte| *byte == b'\n');
            let torn = first_end.filter(|_| !well_quoted(text) || width.is_some_and(|width| width != fields.len()));
            if let Some(end) = torn {
                let mut next = Position::new();
                next.set_byte((from + gap + end + 1) as u64).set_line(line + 1);
                self.reader.seek(next)?;
            }
            let is_blank = fields.len() == 1 && fields.iter().all(|field| field.trim_ascii().is_empty());
            if torn.is_some() || !is_blank {
                return Ok(Some(Record { line, fields, torn: torn.is_some() }));
            }
        }
    }
}

fn offset(position: &Position) -> usize {
    usize::try_from(position.byte()).unwrap_or(usize::MAX)
}

/// Whether quotes stand only where RFC 4180 has them: around whole fields, and doubled within.
fn well_quoted(text: &[u8]) -> bool {
    let mut bytes = text.iter().peekable();
    let (mut quoted, mut at_start) = (false, true);
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted && bytes.next_if(|next| **next == b'"').is_some() => {}
            b'"' if quoted => {
                quoted = false;
                if !matches!(bytes.peek(), None | Some(b',' | b'\r' | b'\n')) {
                    return false;
                }
            }
            b'"' if at_start => quoted = true,
            b'"' => return false,
            _ => {}
        }
        at_start = !quoted && *byte == b',';
    }
    !quoted
}

/// The text of a field: UTF-8, else Latin-1, whose bytes are the first 256 characters of Unicode.
pub(super) fn text(field: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(field) {
        Ok(text) => text.into(),
        Err(_) => field.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, fields and whether it is torn, of every record of three fields.
    fn records(bytes: &[u8]) -> Vec<(u64, Vec<String>, bool)> {
        let mut records = Records::new(bytes);
        std::iter::from_fn(|| records.read(Some(3)).unwrap())
            .map(|record| (record.line, record.fields.iter().map(|field| text(field).into_owned()).collect(), record.torn))
            .collect()
    }

    fn whole(line: u64, fields: [&str; 3]) -> (u64, Vec<String>, bool) {
        (line, fields.map(str::to_owned).to_vec(), false)
    }

    #[test]
    fn records_know_their_line_whatever_the_line_ends_and_blank_lines() {
        let expected = vec![whole(1, ["a", "b", "c"]), whole(4, ["d", "e", "f"]), whole(5, ["g", "h", "i"])];
        assert_eq!(records(b"a,b,c\n\n  \nd,e,f\ng,h,i"), expected);
        assert_eq!(records(b"\xef\xbb\xbfa,b,c\r\n\r\n\t\r\nd,e,f\r\ng,h,i\r\n\r\n"), expected);
    }

    #[test]
    fn quoted_fields_hold_commas_quotes_and_line_breaks() {
        let found = records(b"a,\"b, \"\"b\"\"\",c\nd,\"e\ne\",f\ng,h,i\n");
        assert_eq!(found, vec![whole(1, ["a", "b, \"b\"", "c"]), whole(2, ["d", "e\ne", "f"]), whole(4, ["g", "h", "i"])]);
        assert_eq!(records(b"a,12\" RULER,c\n"), vec![whole(1, ["a", "12\" RULER", "c"])], "a quote within a field is a quote");
    }

    #[test]
    fn a_lost_quote_costs_one_line() {
        let lines = |bytes: &[u8]| records(bytes).iter().map(|(line, _, torn)| (*line, *torn)).collect::<Vec<_>>();
        assert_eq!(lines(b"a,\"b,c\nd,e,f\ng,h,i\n"), [(1, true), (2, false), (3, false)]);
        // The next quoted field would close it, and give a record of three fields made of two rows.
        assert_eq!(lines(b"a,\"b,c\r\nd,\"e\",f\r\n"), [(1, true), (2, false)]);
        assert_eq!(lines(b"a,b,c\nd,\"e"), [(1, false), (2, false)], "the last line is its own field count's business");
    }

    #[test]
    fn fields_are_utf_8_or_latin_1() {
        assert_eq!(text(b"CAF\xc9 \xa35"), "CAFÉ £5");
        assert_eq!(text("CAFÉ £5".as_bytes()), "CAFÉ £5");
    }
}
