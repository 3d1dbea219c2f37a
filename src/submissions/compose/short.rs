//! Short syntaxes: `8080:80/tcp`, `./data:/data:ro`.
//!
//! The grammars are docker's own: go-connections' `nat.ParsePortSpec` and compose-go's volume format.

use std::net::IpAddr;

use super::finding::quoted;

/// The most ports that one range stands for.
const MAX_RANGE: u16 = 500;

/// A port of a container and where it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) host_ip: String,
    /// Empty: any. A range where one container port may get any of several.
    pub(super) published: String,
    pub(super) target: u16,
    pub(super) protocol: String,
}

/// `[IP:][PUBLISHED:]TARGET[/PROTOCOL]`, where both ports may be ranges.
pub(super) fn ports(text: &str) -> Result<Vec<Port>, String> {
    let wrong = |why: &str| {
        format!(
            "{} is no port: {why}; write `80`, `8080:80`, `127.0.0.1:8080:80` or `8000-8005:8000-8005`, \
             perhaps with `/udp`",
            quoted(text)
        )
    };
    let mut parts = text.rsplitn(3, ':');
    let target = parts.next().unwrap_or_default();
    let published = parts.next().unwrap_or_default();
    let host_ip = parts.next().unwrap_or_default();
    let host_ip = host_ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(host_ip);
    if !host_ip.is_empty() && host_ip.parse::<IpAddr>().is_err() {
        return Err(wrong(&format!("{} is no address", quoted(host_ip))));
    }
    let (target, protocol) = match target.split_once('/') {
        Some((target, "")) => (target, "tcp"),
        Some((target, protocol)) => (target, protocol),
        None => (target, "tcp"),
    };
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong("the protocol is `tcp`, `udp` or `sctp`"));
    }
    let (first, last) = range(target).ok_or_else(|| wrong("the container's port is a number up to 65535"))?;
    if last - first >= MAX_RANGE {
        return Err(wrong(&format!("the range has more than {MAX_RANGE} ports")));
    }
    let host = match published {
        "" => None,
        text => Some(range(text).ok_or_else(|| wrong("the published port is a number up to 65535"))?),
    };
    if let Some((from, to)) = host
        && to - from != last - first
        && first != last
    {
        return Err(wrong("the two ranges are not of the same length"));
    }
    let mut out: Vec<Port> = (first..=last)
        .map(|target| Port {
            host_ip: host_ip.to_owned(),
            published: match host {
                None => String::new(),
                Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
                Some((from, _)) => (from + (target - first)).to_string(),
            },
            target,
            protocol: protocol.clone(),
        })
        .collect();
    // The order in which docker compose lists a range: that of the texts.
    out.sort_by_key(|port| format!("{}/{}", port.target, port.protocol));
    Ok(out)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten()
    };
    let (first, last) = match text.split_once('-') {
        None => (text, text),
        // What follows a second dash is not looked at.
        Some((first, rest)) => (first, rest.split('-').next().unwrap_or_default()),
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// What a short volume says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) is_bind: bool,
    pub(super) read_only: bool,
    pub(super) no_copy: bool,
    pub(super) propagation: Option<String>,
    pub(super) selinux: Option<String>,
}

/// `[SOURCE:]TARGET[:OPTIONS]`. A source that begins with `.`, `/` or `~` is a path.
pub(super) fn volume(text: &str) -> Result<Volume, String> {
    let wrong = |why: &str| {
        format!("{} is no mount: {why}; write `./data:/data`, `name:/data` or `/data`", quoted(text))
    };
    let mut volume = Volume::default();
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    if text.len() <= 2 {
        text.clone_into(&mut volume.target);
        return Ok(volume);
    }
    let mut sections = sections(text).into_iter();
    if text.split(':').any(str::is_empty) {
        return Err(wrong("there is nothing between two colons"));
    }
    match (sections.next(), sections.next()) {
        (Some(target), None) => volume.target = target,
        (Some(source), Some(target)) => (volume.source, volume.target) = (source, target),
        (None, _) => {}
    }
    let options = sections.next().unwrap_or_default();
    if sections.next().is_some() {
        return Err(wrong("it has too many colons"));
    }
    for option in options.split(',') {
        match option {
            "ro" => volume.read_only = true,
            "rw" => volume.read_only = false,
            "nocopy" => volume.no_copy = true,
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                volume.propagation = Some(option.to_owned());
            }
            "z" | "Z" => volume.selinux = Some(option.to_owned()),
            _ => {}
        }
    }
    let drive = is_drive(&volume.source);
    volume.is_bind = drive || volume.source.starts_with(['.', '/', '~']) || volume.source.starts_with("\\\\");
    Ok(volume)
}

/// `C:` at the start of a path of Windows.
fn is_drive(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(char::is_alphabetic) && letters.next() == Some(':')
}

/// Between the colons, but not at the one after a drive's letter.
fn sections(text: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    for letter in text.chars() {
        let Some(last) = sections.last_mut() else { break };
        let one_letter = {
            let mut letters = last.chars();
            letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
        };
        if letter == ':' && !one_letter {
            sections.push(String::new());
        } else {
            last.push(letter);
        }
    }
    sections
}

/// A path in a container without `.`, `..` and doubled slashes, as Go's `path.Clean` has it.
pub(super) fn clean_target(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") | None if !absolute => parts.push(".."),
                _ => drop(parts.pop()),
            },
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".into(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_every_form() {
        let shown = |text: &str| {
            ports(text).map(|ports| {
                ports
                    .iter()
                    .map(|p| format!("{}|{}|{}|{}", p.host_ip, p.published, p.target, p.protocol))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        for (text, expected) in [
            ("80", "||80|tcp"),
            ("8080:80/UDP", "|8080|80|udp"),
            ("127.0.0.1:8080:80", "127.0.0.1|8080|80|tcp"),
            ("127.0.0.1::80", "127.0.0.1||80|tcp"),
            ("[::1]:8080:80", "::1|8080|80|tcp"),
            ("8-10", "||10|tcp ||8|tcp ||9|tcp"),
            ("9000-9001:80-81", "|9000|80|tcp |9001|81|tcp"),
            ("9000-9005:80", "|9000-9005|80|tcp"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "x", "80/xyz", "70000", "x:80", "1.2.3:1:80", "2-1", "1-3:1-2", "1-9999", "80:"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }

    #[test]
    fn volumes_in_every_form() {
        let shown = |text: &str| {
            volume(text).map(|v| {
                format!(
                    "{}|{}|{}|{}",
                    v.source,
                    v.target,
                    if v.is_bind { "bind" } else { "volume" },
                    v.read_only
                )
            })
        };
        for (text, expected) in [
            ("/data", "|/data|volume|false"),
            ("./a:/b:ro", "./a|/b|bind|true"),
            ("name:/b", "name|/b|volume|false"),
            ("~/a:/b", "~/a|/b|bind|false"),
            ("a", "|a|volume|false"),
            ("C:/x:/y", "C:/x|/y|bind|false"),
            ("./a:/b:z,ro,unknown", "./a|/b|bind|true"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "a::b", ":/data", "aa:bb:cc:dd"] {
            assert!(volume(text).is_err(), "{text}");
        }
    }

    #[test]
    fn targets_are_cleaned() {
        for (path, clean) in [
            ("/a/../b//c/.", "/b/c"),
            ("/..", "/"),
            ("a/./b", "a/b"),
            ("", "."),
            ("../a", "../a"),
            ("/", "/"),
        ] {
            assert_eq!(clean_target(path), clean);
        }
    }
}
