//! Words of `/etc/hosts`: addresses, and the names they have there.

use std::net::IpAddr;

use super::{Malformed, value};

value! {
    /// An address of IPv4 or IPv6: `10.0.0.5`, `fd00::5`.
    Address, "malformed-host", "an address", address
}

value! {
    /// A name that `/etc/hosts` gives to an address: `plc`, `plc.example.com`.
    DomainName, "malformed-host", "the name of a host", name
}

fn address(text: &str) -> Result<(), Malformed> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let refusal = Malformed::new(text, "it is no address of IPv4 or IPv6");
    Err(match text.split_once('/') {
        Some((address, _)) if address.parse::<IpAddr>().is_ok() => refusal.help(format!("write `{address}`")),
        _ if name(text).is_ok() => refusal.help("the address comes first: `.host(\"10.0.0.5\", \"plc\")`"),
        _ => refusal,
    })
}

fn name(text: &str) -> Result<(), Malformed> {
    if text.len() > 253 {
        return Err(Malformed::new(text, "it is longer than 253 characters"));
    }
    if text.split('.').any(|label| label.is_empty() || label.starts_with('-') || label.ends_with('-')) {
        return Err(Malformed::new(text, "a part of it is empty, or starts or ends with a dash"));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
        Some(wrong) if wrong.is_whitespace() => Err(Malformed::new(text, "it is more than one name")
            .help("write `.hosts(\"10.0.0.5\", [\"plc\", \"plc.example.com\"])`")),
        Some(wrong) => Err(Malformed::new(text, format!("`{wrong}` is not one of A-Z a-z 0-9 - _ ."))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::Given;
    use crate::value::Value as _;
    use std::net::Ipv4Addr;

    #[test]
    fn an_address_is_of_either_protocol_and_has_no_prefix() {
        for text in ["10.0.0.5", "fd00::5", "::1"] {
            assert!(Address::parse(text).is_ok(), "{text}");
        }
        assert_eq!(Address::parse("10.0.0.5/24").unwrap_err().help.unwrap(), "write `10.0.0.5`");
        assert!(Address::parse("plc").unwrap_err().help.unwrap().contains("comes first"));
        assert!(DomainName::parse("plc_1.example.com").is_ok() && DomainName::parse("a b").is_err());
        assert_eq!(Ipv4Addr::new(10, 0, 0, 5).given().unwrap().as_str(), "10.0.0.5");
    }
}
