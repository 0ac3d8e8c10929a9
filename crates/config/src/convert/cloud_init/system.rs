//! Time servers, certificates, mounts, swap and names of the system.

use serde_json::json;

use super::{Out, flag, get, template, text};
use crate::{
    convert::report::join,
    definition::formats::check,
    yaml::{Data, Entry, Kind, Scalar, Value},
};

pub(super) fn ntp(value: &Value, out: &mut Out<'_>) {
    let Data::Map(entries) = &value.data else {
        return;
    };
    for entry in entries {
        let path = join("ntp", &entry.key);
        let place = entry.span.start;
        match entry.key.as_str() {
            "servers" | "pools" => {
                for (index, item) in entry.value.items().iter().enumerate() {
                    let Some(server) = text(item) else { continue };
                    let here = join(&path, index);
                    match check("server", server) {
                        Ok(()) => {
                            out.push("ntp_servers", server);
                            out.translated(&here, item.span.start, "");
                        }
                        Err(refusal) => {
                            out.unsupported(&here, item.span.start, refusal.message);
                        }
                    }
                }
            }
            "enabled" => match flag(&entry.value) {
                Some(true) => out.translated(&path, place, ""),
                Some(false) => out.unsupported(
                    &path,
                    place,
                    "systemd-timesyncd always runs; mask it under `systemd.units` if the machine keeps the time",
                ),
                None => {}
            },
            "ntp_client" => match text(&entry.value) {
                Some("auto" | "systemd-timesyncd") => out.translated(&path, place, ""),
                Some(_) => out.unsupported(&path, place, "systemd-timesyncd is the client"),
                None => {}
            },
            "peers" | "allow" => out.unsupported(
                &path,
                place,
                "systemd-timesyncd only asks servers; it serves nobody",
            ),
            "config" => out.unsupported(
                &path,
                place,
                "systemd-timesyncd is the client; write a file in /etc/systemd/timesyncd.conf.d",
            ),
            _ => {}
        }
    }
}

pub(super) fn certificates(value: &Value, key: &str, out: &mut Out<'_>) {
    if let Some(items) = value.get("trusted").map(Value::items) {
        let path = join(key, "trusted");
        for (index, item) in items.iter().enumerate() {
            let Some(pem) = text(item) else { continue };
            let here = join(&path, index);
            match check("certificate", pem) {
                Ok(()) => {
                    out.push("ca_certs", pem);
                    out.translated(&here, item.span.start, "");
                }
                Err(refusal) => out.unsupported(&here, item.span.start, refusal.message),
            }
        }
    }
    for name in ["remove_defaults", "remove-defaults"] {
        if let Some(entry) = value.entry(name) {
            let path = join(key, name);
            match flag(&entry.value) {
                Some(false) => out.translated(&path, entry.span.start, ""),
                Some(true) => out.unsupported(
                    &path,
                    entry.span.start,
                    "the certificates of Debian's ca-certificates stay trusted",
                ),
                None => {}
            }
        }
    }
}

pub(super) fn locale(entry: &Entry, out: &mut Out<'_>) {
    match flag(&entry.value) {
        Some(false) => out.translated("locale", entry.span.start, "nothing is changed"),
        Some(true) => out.unsupported("locale", entry.span.start, "names no locale"),
        None => super::keys::one(entry, "locale", "locale", out),
    }
}

/// A device as cloud-init names it.
fn device(name: &str) -> Result<String, &'static str> {
    let letters = name.strip_prefix('x').unwrap_or(name);
    let short = ["sd", "hd", "vd"].iter().any(|kind| {
        letters.strip_prefix(kind).is_some_and(|rest| {
            let digits = rest.trim_start_matches(|first: char| first.is_ascii_lowercase());
            rest.len() - digits.len() == 1 && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    });
    let numbered = name
        .strip_prefix("sr")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    if short || numbered {
        return Ok(format!("/dev/{name}"));
    }
    let cloud = matches!(name, "ami" | "root" | "swap")
        || ["ephemeral", "ebs"]
            .iter()
            .any(|kind| name.starts_with(kind) && !name.contains(':'));
    if cloud {
        return Err(
            "is a name of the cloud's metadata; write the device, best as LABEL=… or UUID=…",
        );
    }
    Ok(name.to_owned())
}

pub(super) fn mounts(value: &Value, out: &mut Out<'_>) {
    for (index, item) in value.items().iter().enumerate() {
        let path = join("mounts", index);
        let place = item.span.start;
        if item.items().iter().any(template::is_marked) {
            out.unsupported(
                &path,
                place,
                "a part of it depends on a template; write it out",
            );
            continue;
        }
        let fields: Option<Vec<&str>> = item.items().iter().map(text).collect();
        let Some(fields) = fields.filter(|_| matches!(item.data, Data::List(_))) else {
            continue;
        };
        let field = |number: usize| fields.get(number).copied().unwrap_or_default().trim();
        if fields.len() == 1 {
            out.unsupported(
                &path,
                place,
                "cloud-init mounts nothing then; name where to mount it",
            );
            continue;
        }
        let what = match device(field(0)) {
            Ok(what) => what,
            Err(message) => {
                out.unsupported(&path, place, message);
                continue;
            }
        };
        if field(2) == "swap" || field(1) == "none" || field(1) == "swap" {
            match check("mount-source", &what) {
                Ok(()) => {
                    out.push("swap", json!({ "device": what }));
                    out.translated(&path, place, "swap space");
                }
                Err(refusal) => out.unsupported(&path, place, refusal.message),
            }
            continue;
        }
        let mut mount = json!({ "what": what, "where": field(1) });
        let mut refused = check("mount-source", &what)
            .and_then(|()| check("mount-point", field(1)))
            .err();
        if !matches!(field(2), "" | "auto") {
            refused = refused.or(check("file-system", field(2)).err());
            mount["type"] = json!(field(2));
        }
        let options: Vec<&str> = field(3)
            .split(',')
            .map(str::trim)
            .filter(|option| !matches!(*option, "" | "defaults"))
            // cloud-init's own marks in /etc/fstab.
            .filter(|option| !option.starts_with("comment="))
            .collect();
        for option in &options {
            refused = refused.or(check("mount-option", option).err());
        }
        if !options.is_empty() {
            mount["options"] = json!(options);
        }
        match refused {
            None => {
                out.push("mounts", mount);
                out.translated(
                    &path,
                    place,
                    "the node starts without it if it is not there",
                );
            }
            Some(refusal) => out.unsupported(&path, place, refusal.message),
        }
    }
}

/// Bytes of a size as cloud-init writes it.
fn bytes(value: &Value) -> Option<u64> {
    if let Data::Scalar(Scalar {
        kind: Kind::Integer(number),
        ..
    }) = &value.data
    {
        return u64::try_from(*number).ok();
    }
    let text = text(value)?;
    let shift = match text.chars().last()? {
        'B' => 0,
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return None,
    };
    let number: f64 = text[..text.len() - 1].parse().ok()?;
    let whole = format!("{:.0}", number * f64::from(1_u32 << (shift % 30)));
    let scaled: u64 = whole.parse().ok()?;
    scaled.checked_mul(if shift >= 30 {
        1 << (shift / 30 * 30)
    } else {
        1
    })
}

pub(super) fn swap(entry: &Entry, out: &mut Out<'_>) {
    let Data::Map(_) = &entry.value.data else {
        return;
    };
    let place = entry.span.start;
    let path = get(&entry.value, "filename")
        .and_then(text)
        .unwrap_or("/swap.img");
    let Some(size) = entry.value.entry("size") else {
        out.unsupported(
            "swap",
            place,
            "without a size cloud-init makes no swap file",
        );
        return;
    };
    if text(&size.value) == Some("auto") {
        out.unsupported(
            "swap.size",
            size.span.start,
            "no size is chosen by itself; write one, such as 2G",
        );
        out.unsupported("swap", place, "no swap file is made without a size");
        return;
    }
    if template::is_marked(&size.value) {
        return;
    }
    let Some(bytes) = bytes(&size.value) else {
        return;
    };
    if bytes == 0 {
        out.translated("swap", place, "a size of 0 makes no swap file");
        return;
    }
    let path = path.trim();
    // As cloud-init does, whole MiB.
    let mebibytes = bytes >> 20;
    let refused = check("node-path", path)
        .and_then(|()| check("size", &format!("{mebibytes}MiB")))
        .err();
    if let Some(refusal) = refused {
        out.unsupported("swap", place, refusal.message);
        return;
    }
    let size = if mebibytes.is_multiple_of(1024) {
        format!("{}GiB", mebibytes >> 10)
    } else {
        format!("{mebibytes}MiB")
    };
    // The root is read-only; what is below these folders stays on the state partition.
    let kept = ["/var/", "/srv/", "/home/", "/opt/", "/root/"];
    let (path, note) = if kept.iter().any(|folder| path.starts_with(folder)) {
        (path, "")
    } else {
        (
            "/var/lib/swapfile",
            "as /var/lib/swapfile, for the root is read-only",
        )
    };
    out.push("swap", json!({ "path": path, "size": size }));
    out.translated("swap", place, note);
    if let Some(entry) = entry.value.entry("maxsize") {
        out.unsupported(
            "swap.maxsize",
            entry.span.start,
            "limits a size that is chosen by itself only",
        );
    }
}

pub(super) fn resolv_conf(entry: &Entry, root: &Value, out: &mut Out<'_>) {
    let place = entry.span.start;
    let Data::Map(entries) = &entry.value.data else {
        return;
    };
    if root.get("manage_resolv_conf").and_then(flag) != Some(true) {
        out.unsupported(
            "resolv_conf",
            place,
            "cloud-init ignores it without `manage_resolv_conf: true`; write `dns_nameservers`",
        );
        return;
    }
    for entry in entries {
        let path = join("resolv_conf", &entry.key);
        if entry.key != "nameservers" {
            out.unsupported(
                &path,
                entry.span.start,
                "write it for an interface under `network.interfaces`",
            );
            continue;
        }
        for (index, item) in entry.value.items().iter().enumerate() {
            let here = join(&path, index);
            let Some(address) = text(item) else {
                continue;
            };
            match check("address", address) {
                Ok(()) => {
                    out.push("dns_nameservers", address);
                    out.translated(&here, item.span.start, "");
                }
                Err(refusal) => out.unsupported(&here, item.span.start, refusal.message),
            }
        }
    }
}
