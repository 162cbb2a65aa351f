//! Where a request comes from.
//!
//! By itself a header says what its sender likes. So X-Forwarded-For is read only from proxies that the settings name, and from
//! its end, where the nearest proxy has written; the first address that is no such proxy is the client's. Whatever stands before
//! it may be invented. (RFC 7239's `Forwarded` is not read: a proxy that writes the one lets the other pass as it came.)

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address.to_canonical()))
}

pub fn of_client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = peer.to_canonical();
    // Each proxy adds to the end, be it of the line or by a further line.
    for line in headers.get_all("x-forwarded-for").iter().rev() {
        for hop in String::from_utf8_lossy(line.as_bytes()).rsplit(',') {
            if !is_trusted(nearest, trusted) {
                return nearest;
            }
            // "unknown" and the like: the proxy itself is as near as we get.
            let Some(address) = read(hop.trim()) else { return nearest };
            nearest = address.to_canonical();
        }
    }
    nearest
}

/// Some proxies write the port too.
fn read(hop: &str) -> Option<IpAddr> {
    let plain = hop.parse().ok().or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    plain.or_else(|| hop.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
}

/// What one subscriber of a provider has: an address of IPv4, or 64 bits of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let headers = lines.iter().map(|line| ("x-forwarded-for".parse().unwrap(), line.parse().unwrap())).collect();
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        of_client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_says_for_themselves_where_they_come_from() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"], &[]), "203.0.113.9");
        assert_eq!(client("203.0.113.9", &["198.51.100.1"], &["10.0.0.0/8"]), "203.0.113.9");
        // What stands before the proxies' own entries is the client's invention.
        assert_eq!(client("10.0.0.2", &["1.1.1.1, 203.0.113.9, 10.0.0.1"], &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(client("10.0.0.2", &["1.1.1.1", "203.0.113.9:4711"], &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(client("10.0.0.2", &["203.0.113.9, unknown"], &["10.0.0.0/8"]), "10.0.0.2");
        assert_eq!(client("10.0.0.2", &[], &["10.0.0.0/8"]), "10.0.0.2");
        assert_eq!(client("::ffff:10.0.0.2", &["[2001:db8::1]:80"], &["10.0.0.0/8"]), "2001:db8::1");
    }

    #[test]
    fn of_ipv6_a_whole_subscriber_counts_as_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:203.0.113.9"), "203.0.113.9");
    }
}
