//! The trace of a request: taken from the W3C `traceparent` header or begun here, and carried to the socket by the event.
//! <https://www.w3.org/TR/trace-context/>

use axum::http::HeaderMap;

/// A well-formed header of the client's, else a new trace.
pub fn parent(headers: &HeaderMap) -> String {
    let given = headers.get("traceparent").and_then(|value| value.to_str().ok()).filter(|value| well_formed(value));
    given.map_or_else(|| format!("00-{:032x}-{:016x}-01", rand::random::<u128>(), rand::random::<u64>()), str::to_owned)
}

fn well_formed(value: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = value.split('-').collect();
    matches!(parts[..], [version, trace, span, flags]
        if (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2)
            && [version, trace, span, flags].iter().all(|part| hex(part))
            && version != "ff" && trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_and_a_malformed_one_is_not() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parent(&HeaderMap::from_iter([("traceparent".parse().unwrap(), given.parse().unwrap())])), given);
        assert!(well_formed(&parent(&HeaderMap::new())));
        for wrong in ["", "00-0-0-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "zz-x-y-z", &"a".repeat(5_000)]
        {
            assert!(!well_formed(wrong), "{wrong}");
        }
    }
}
