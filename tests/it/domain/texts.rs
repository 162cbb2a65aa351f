//! What people write: one line where one is meant, as many as they like in a note.

use super::shop::address;
use orderflow::value::{Address, DisplayName, Email, Invalid, Note, ProductName, Reference, Sku};

/// Line breaks of every habit.
const BREAKS: [&str; 4] = ["\n", "\r", "\r\n", "\u{85}"];

#[test]
fn a_note_may_have_lines() {
    for text in ["Ring twice.\nThen wait.", "Ring twice.\r\nThen wait.", "Ring:\n\ttwice"] {
        assert_eq!(Note::parse(text).as_ref().map(Note::as_str), Ok(text));
    }
}

#[test]
fn no_other_text_may() {
    type Parse = fn(&str) -> Result<String, Invalid>;
    let fields: [Parse; 4] = [
        |text| DisplayName::parse(text).map(|text| text.to_string()),
        |text| ProductName::parse(text).map(|text| text.to_string()),
        |text| Sku::parse(text).map(|text| text.to_string()),
        |text| Reference::parse(text).map(|text| text.to_string()),
    ];
    for field in fields {
        assert_eq!(field("one two"), Ok("one two".to_owned()));
        for line_break in BREAKS {
            let refusal = field(&format!("one{line_break}two")).expect_err("a line break");
            assert!(refusal.0.ends_with("must not contain control characters or line breaks"), "{refusal:?}");
        }
        assert!(field("one\ttwo").is_err(), "a tab is no better");
    }
}

#[test]
fn neither_may_an_address_for_mail_or_any_part_of_a_postal_one() {
    for line_break in BREAKS {
        assert!(Email::parse(&format!("ada{line_break}@example.com")).is_err(), "{line_break:?}");
        assert!(Email::parse(&format!("ada@example.com{line_break}bcc:eve@example.com")).is_err(), "{line_break:?}");
        let broken = format!("12{line_break}34");
        let parts = [
            ("name", Address { name: Some(broken.clone()), ..address() }),
            ("line1", Address { line1: broken.clone(), ..address() }),
            ("line2", Address { line2: Some(broken.clone()), ..address() }),
            ("city", Address { city: broken.clone(), ..address() }),
            ("region", Address { region: Some(broken.clone()), ..address() }),
            ("postalCode", Address { postal_code: broken, ..address() }),
        ];
        for (part, address) in parts {
            assert_eq!(address.checked().map_err(|(field, _)| field), Err(part), "{line_break:?}");
        }
    }
}

#[test]
fn a_line_break_at_the_end_is_only_a_slip_of_the_hand() {
    assert_eq!(Sku::parse("MUG-850\r\n").as_ref().map(Sku::as_str), Ok("MUG-850"));
    assert_eq!(Email::parse("ada@example.com\n").as_ref().map(Email::as_str), Ok("ada@example.com"));
}
